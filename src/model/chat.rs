//! Conversations as the text a model was trained on: its own Jinja chat template, from the GGUF's
//! metadata, rendered exactly; or, for a base model without one, the turns' plain text.

use minijinja::{Environment, ErrorKind, context, syntax::SyntaxConfig};

use super::Message;

/// Renders `messages` and opens the assistant's turn.
///
/// # Errors
/// What the template engine or the template itself said.
pub(super) fn render(
    template: Option<&str>,
    messages: &[Message],
    bos: &str,
    eos: &str,
) -> Result<String, String> {
    let Some(template) = template else {
        return Ok(messages
            .iter()
            .map(|message| format!("{}\n\n", message.content))
            .collect());
    };
    let mut environment = Environment::new();
    minijinja_contrib::add_to_environment(&mut environment);
    // Templates are written for Python's Jinja and call `.strip()`, `.items()` and the like.
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function(
        "raise_exception",
        |message: String| -> Result<(), minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        },
    );
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    environment.set_syntax(syntax.map_err(|error| error.to_string())?);
    let turns: Vec<_> = messages
        .iter()
        .map(|message| context! { role => message.role, content => &message.content })
        .collect();
    environment
        .render_str(
            template,
            context! { messages => turns, bos_token => bos, eos_token => eos, add_generation_prompt => true },
        )
        .map_err(|error| format!("its chat template cannot be rendered: {error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHATML: &str = "{%- for message in messages %}\n{{- '<|im_start|>' + message.role + '\\n' \
        + message.content.strip() + '<|im_end|>\\n' }}\n{%- endfor %}\n\
        {%- if add_generation_prompt %}\n{{- '<|im_start|>assistant\\n' }}\n{%- endif %}";

    #[test]
    fn template_opens_the_assistants_turn() {
        let messages = [Message::user(" How many? ")];
        assert_eq!(
            render(Some(CHATML), &messages, "", "").unwrap(),
            "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n"
        );
    }

    #[test]
    fn a_template_can_refuse() {
        let error = render(Some("{{ raise_exception('no turns') }}"), &[], "", "").unwrap_err();
        assert!(error.contains("no turns"), "{error}");
    }
}
