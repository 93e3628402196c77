//! Who and what the stories are about: the lists of `names.txt`, `things.txt` and `lists.txt`.

use std::{collections::HashMap, sync::LazyLock};

/// Someone in a story.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// At the first mention: "Tom", "a farmer".
    pub first: String,
    /// Later: "Tom", "the farmer".
    pub later: String,
    pub female: bool,
}

/// What is counted.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub one: String,
    pub many: String,
    pub class: usize,
}

/// Things that can be treated alike.
#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    /// What a story asks for: "fruit", "food", "thing".
    pub names: Vec<&'static str>,
    /// What they come in, singular and plural.
    pub containers: Vec<(String, String)>,
    /// How one gets and loses them: base, present and past.
    pub verbs: HashMap<&'static str, Vec<[&'static str; 3]>>,
}

/// All words.
#[derive(Default)]
pub(super) struct Vocabulary {
    pub people: Vec<Person>,
    /// Known by their work: "a farmer".
    pub workers: Vec<Person>,
    /// Known by someone: "brother".
    pub kin: Vec<(&'static str, bool)>,
    pub classes: Vec<Class>,
    pub things: Vec<Thing>,
    pub lists: HashMap<&'static str, Vec<&'static str>>,
}

/// The words' texts: names, things and lists.
pub(super) const FILES: [&str; 3] = [
    include_str!("names.txt"),
    include_str!("things.txt"),
    include_str!("lists.txt"),
];

/// The words of this crate.
pub(super) static WORDS: LazyLock<Vocabulary> = LazyLock::new(|| {
    let mut words = Vocabulary::default();
    let [names, things, lists] = FILES;
    words.read_names(names);
    words.read_things(things);
    words.read_lists(lists);
    words
});

fn lines(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' '))
}

fn items(rest: &'static str) -> impl Iterator<Item = &'static str> {
    rest.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

impl Vocabulary {
    /// Whether a thing is of one of the classes in `wanted` ("fruit|toy").
    pub(super) fn is(&self, thing: &Thing, wanted: &str) -> bool {
        let names = &self.classes[thing.class].names;
        wanted.split('|').any(|one| names.contains(&one))
    }

    fn read_names(&mut self, text: &'static str) {
        for (key, rest) in lines(text) {
            let female = key == "female" || key.ends_with("women");
            match key {
                "female" | "male" => self.people.extend(items(rest).map(|name| Person {
                    first: name.to_owned(),
                    later: name.to_owned(),
                    female,
                })),
                "kin-women" | "kin-men" => self.kin.extend(items(rest).map(|name| (name, female))),
                _ => self.workers.extend(items(rest).map(|name| Person {
                    first: format!("a {name}"),
                    later: format!("the {name}"),
                    female,
                })),
            }
        }
    }

    fn read_things(&mut self, text: &'static str) {
        for (key, rest) in lines(text) {
            if key == "class" {
                let mut names: Vec<&str> = rest.split_whitespace().collect();
                // One does not have, give or lose animals and trees as one does things.
                if !names.contains(&"animal") && !names.contains(&"planted") {
                    names.push("thing");
                }
                self.classes.push(Class {
                    names,
                    ..Class::default()
                });
                continue;
            }
            let at = self.classes.len() - 1;
            let class = &mut self.classes[at];
            match key {
                "in" => class.containers = items(rest).map(forms).collect(),
                "items" => self.things.extend(items(rest).map(|item| {
                    let (one, many) = forms(item);
                    Thing {
                        one,
                        many,
                        class: at,
                    }
                })),
                verb => {
                    let verbs = items(rest).filter_map(|forms| {
                        let mut forms = forms.split('/');
                        Some([forms.next()?, forms.next()?, forms.next()?])
                    });
                    class.verbs.insert(verb, verbs.collect());
                }
            }
        }
    }

    fn read_lists(&mut self, text: &'static str) {
        for (key, rest) in lines(text) {
            self.lists.entry(key).or_default().extend(items(rest));
        }
    }
}

/// Singular and plural of `apple` or `loaf/loaves`.
pub(super) fn forms(item: &str) -> (String, String) {
    match item.split_once('/') {
        Some((one, many)) => (one.to_owned(), many.to_owned()),
        None => (item.to_owned(), plural(item)),
    }
}

/// The regular plural; of "bag of chips", that of its first word.
pub(super) fn plural(one: &str) -> String {
    if let Some((head, tail)) = one.split_once(" of ") {
        return format!("{} of {tail}", plural(head));
    }
    let consonant_y = one
        .strip_suffix('y')
        .filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    match consonant_y {
        Some(stem) => format!("{stem}ies"),
        None if ["s", "x", "z", "ch", "sh"]
            .iter()
            .any(|end| one.ends_with(end)) =>
        {
            format!("{one}es")
        }
        None => format!("{one}s"),
    }
}
