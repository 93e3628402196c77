"use strict";
// LaTeX as MathML, for what model outputs and benchmarks write: enough of it to be read, and its
// source where it is not understood. Makes nodes, never markup.
const Latex = (() => {
  const SPACE = "http://www.w3.org/1998/Math/MathML";
  const LENGTH_MAX = 20000, DEPTH_MAX = 120;

  const SYMBOLS = {
    alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ϵ", varepsilon: "ε", zeta: "ζ", eta: "η",
    theta: "θ", vartheta: "ϑ", iota: "ι", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν", xi: "ξ", pi: "π",
    rho: "ρ", sigma: "σ", tau: "τ", upsilon: "υ", phi: "ϕ", varphi: "φ", chi: "χ", psi: "ψ", omega: "ω",
    Gamma: "Γ", Delta: "Δ", Theta: "Θ", Lambda: "Λ", Xi: "Ξ", Pi: "Π", Sigma: "Σ", Phi: "Φ", Psi: "Ψ",
    Omega: "Ω", infty: "∞", ell: "ℓ", hbar: "ℏ", emptyset: "∅", varnothing: "∅", partial: "∂",
    nabla: "∇", degree: "°", circ: "∘", prime: "′", angle: "∠", triangle: "△", square: "□", Box: "□",
    checkmark: "✓", aleph: "ℵ", Re: "ℜ", Im: "ℑ", dots: "…", ldots: "…", cdots: "⋯", vdots: "⋮",
    ddots: "⋱", dotsc: "…", dotsb: "⋯", star: "⋆", bullet: "•", top: "⊤", bot: "⊥", blacksquare: "■",
  };
  const OPERATORS = {
    cdot: "⋅", times: "×", div: "÷", pm: "±", mp: "∓", ast: "∗", le: "≤", leq: "≤", leqslant: "≤",
    ge: "≥", geq: "≥", geqslant: "≥", ne: "≠", neq: "≠", approx: "≈", equiv: "≡", sim: "∼", simeq: "≃",
    cong: "≅", propto: "∝", ll: "≪", gg: "≫", to: "→", rightarrow: "→", leftarrow: "←", gets: "←",
    Rightarrow: "⇒", Leftarrow: "⇐", implies: "⟹", iff: "⟺", leftrightarrow: "↔",
    Leftrightarrow: "⇔", longrightarrow: "⟶", Longrightarrow: "⟹", mapsto: "↦", uparrow: "↑",
    downarrow: "↓", in: "∈", notin: "∉", ni: "∋", subset: "⊂", subseteq: "⊆", supset: "⊃",
    supseteq: "⊇", cup: "∪", cap: "∩", setminus: "∖", backslash: "\\", land: "∧", wedge: "∧", lor: "∨",
    vee: "∨", neg: "¬", lnot: "¬", forall: "∀", exists: "∃", mid: "∣", nmid: "∤", parallel: "∥",
    perp: "⊥", oplus: "⊕", otimes: "⊗", therefore: "∴", because: "∵", colon: ":", vert: "|", Vert: "‖",
    lvert: "|", rvert: "|", lVert: "‖", rVert: "‖", langle: "⟨", rangle: "⟩", lfloor: "⌊",
    rfloor: "⌋", lceil: "⌈", rceil: "⌉", lbrace: "{", rbrace: "}", lbrack: "[", rbrack: "]",
    quad: null, qquad: null, "{": "{", "}": "}", "|": "‖", "%": "%", $: "$", "#": "#", "&": "&", _: "_",
  };
  const LARGE = {
    sum: "∑", prod: "∏", coprod: "∐", int: "∫", iint: "∬", iiint: "∭", oint: "∮", bigcup: "⋃",
    bigcap: "⋂", bigoplus: "⨁", bigotimes: "⨂", bigvee: "⋁", bigwedge: "⋀",
  };
  const FUNCTIONS = new Set(("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp " +
    "det dim ker deg gcd lcm arg hom").split(" "));
  const LIMITS = new Set("lim max min sup inf limsup liminf Pr".split(" "));
  const SPACES = { ",": "0.17em", ":": "0.22em", ";": "0.28em", " ": "0.25em", quad: "1em", qquad: "2em", "!": "-0.17em", enspace: "0.5em", "~": "0.25em", thinspace: "0.17em" };
  const ACCENTS = { overline: "¯", bar: "¯", hat: "^", widehat: "^", tilde: "~", widetilde: "~", vec: "→", overrightarrow: "→", overleftrightarrow: "↔", dot: "˙", ddot: "¨", overarc: "⌒", wideparen: "⌒", overbrace: "⏞" };
  const UNDERS = { underline: "_", underbrace: "⏟" };
  const TEXTS = new Set("text textbf textit textrm texttt textsf textnormal mbox hbox mathrm operatorname mathop mathtt mathsf mathit".split(" "));
  const IGNORED = new Set("displaystyle textstyle scriptstyle limits nolimits big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr bigm Bigm hline nonumber notag rm bf it centering noindent left. right. hfill".split(" "));
  const BOARD = { R: "ℝ", N: "ℕ", Z: "ℤ", Q: "ℚ", C: "ℂ", P: "ℙ", H: "ℍ", E: "𝔼" };
  const FENCES = { pmatrix: "()", bmatrix: "[]", Bmatrix: "{}", vmatrix: "||", Vmatrix: "‖‖", cases: "{", rcases: " }" };

  const node = (name, ...children) => {
    const made = document.createElementNS(SPACE, name);
    made.append(...children.filter((child) => child != null));
    return made;
  };
  const leaf = (name, text, attributes) => {
    const made = node(name);
    made.textContent = text;
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    return made;
  };
  const row = (nodes) => (nodes.length === 1 ? nodes[0] : node("mrow", ...nodes));

  // \command, one escaped sign, a number, or one sign; spaces only count inside \text.
  const cut = (source) => source.match(/\\[a-zA-Z]+\*?|\\[\s\S]|\d+(?:\.\d+)?|%.*|\s+|[\s\S]/gu) || [];

  function parse(source) {
    const tokens = cut(source);
    let at = 0, depth = 0;
    const skip = () => { while (at < tokens.length && /^(\s+|%.*)$/.test(tokens[at])) at++; };
    const peek = () => { skip(); return tokens[at]; };
    const next = () => { skip(); return tokens[at++]; };
    const fail = () => { throw new Error("not understood"); };

    // What is between braces, as it is written.
    const raw = () => {
      if (peek() !== "{") return next() ?? "";
      next();
      let open = 1, text = "";
      while (at < tokens.length) {
        const token = tokens[at++];
        if (token === "{") open++;
        if (token === "}" && --open === 0) return text;
        text += token;
      }
      return fail();
    };
    const optional = () => {
      if (peek() !== "[") return null;
      next();
      const inside = list((token) => token === "]");
      next();
      return row(inside);
    };
    // One argument: a group, or one sign (of a number its first digit).
    const argument = () => {
      const token = peek();
      if (token === undefined || token === "}" || token === "&") fail();
      if (/^\d/.test(token) && token.length > 1) {
        tokens[at] = token.slice(1);
        return leaf("mn", token[0]);
      }
      return atom() ?? node("mrow");
    };
    const list = (ends) => {
      if (++depth > DEPTH_MAX) fail();
      const nodes = [];
      for (let token = peek(); token !== undefined && !ends(token); token = peek()) {
        const made = scripted();
        if (made) nodes.push(made);
      }
      depth--;
      return nodes;
    };
    const delimiter = () => {
      const token = next();
      if (token === undefined) fail();
      if (token === ".") return "";
      return token[0] === "\\" ? OPERATORS[token.slice(1)] ?? fail() : token;
    };
    const table = (environment) => {
      const name = environment.replace("*", "");
      if (name === "array" || name === "tabular") raw();
      if (name === "alignedat" || name === "alignat") raw();
      const rows = [[]];
      const ends = (token) => token === "&" || token === "\\\\" || token === "\\cr" || token === "\\end";
      for (;;) {
        rows.at(-1).push(node("mtd", ...list(ends)));
        const token = next();
        if (token === undefined) fail();
        if (token === "\\end") break;
        if (token !== "&") { optional(); rows.push([]); }
      }
      raw();
      if (rows.at(-1).length === 1 && !rows.at(-1)[0].childNodes.length) rows.pop();
      const made = node("mtable", ...rows.map((cells) => node("mtr", ...cells)));
      if (/^(align|split|eqn|gather|multline|flalign)/.test(name)) {
        made.setAttribute("displaystyle", "true");
        for (const cells of rows) cells.forEach((cell, place) => { cell.style.textAlign = place % 2 ? "left" : "right"; cell.style.padding = "0.15em 0.1em"; });
      } else if (/cases$/.test(name)) {
        for (const cell of rows.flat()) cell.style.textAlign = "left";
      }
      const fence = FENCES[name];
      if (!fence) return made;
      const side = (sign) => (sign && sign !== " " ? leaf("mo", sign, { stretchy: "true" }) : null);
      return node("mrow", side(fence[0]), made, side(fence[1]));
    };

    const command = (name) => {
      if (name in SPACES) return leaf("mspace", "", { width: SPACES[name] });
      if (name in SYMBOLS) return leaf("mi", SYMBOLS[name]);
      if (name in LARGE) return leaf("mo", LARGE[name]);
      if (OPERATORS[name]) return leaf("mo", OPERATORS[name], /[|‖⟨⟩⌊⌋⌈⌉{}[\]]/.test(OPERATORS[name]) ? { stretchy: "false" } : {});
      if (FUNCTIONS.has(name)) return node("mrow", leaf("mi", name), leaf("mspace", "", { width: "0.12em" }));
      if (LIMITS.has(name)) return leaf("mo", name, { movablelimits: "true", form: "prefix" });
      if (TEXTS.has(name.replace("*", ""))) {
        const text = raw().replace(/\\([%$#&_{} ])/g, "$1").replace(/[$~]/g, (sign) => (sign === "~" ? " " : ""));
        const made = leaf(/^(math|oper)/.test(name) ? "mi" : "mtext", text.replace(/^ | $/g, "\u00a0"));
        if (made.localName === "mi") made.setAttribute("mathvariant", "normal");
        if (name === "textbf") made.style.fontWeight = "bold";
        return made;
      }
      if (/^[dtc]?frac$/.test(name)) {
        const made = node("mfrac", argument(), argument());
        if (name === "dfrac") made.setAttribute("displaystyle", "true");
        return made;
      }
      if (/^[dt]?binom$/.test(name)) {
        const inner = node("mfrac", argument(), argument());
        inner.setAttribute("linethickness", "0");
        return node("mrow", leaf("mo", "("), inner, leaf("mo", ")"));
      }
      if (name === "sqrt") {
        const index = optional();
        return index ? node("mroot", argument(), index) : node("msqrt", argument());
      }
      if (name in ACCENTS) {
        const made = node("mover", argument(), leaf("mo", ACCENTS[name], { stretchy: /^(over|wide)/.test(name) ? "true" : "false" }));
        made.setAttribute("accent", "true");
        return made;
      }
      if (name in UNDERS) return node("munder", argument(), leaf("mo", UNDERS[name], { stretchy: "true" }));
      if (name === "stackrel" || name === "overset") { const over = argument(); return node("mover", argument(), over); }
      if (name === "underset") { const under = argument(); return node("munder", argument(), under); }
      if (name === "xrightarrow") return node("mover", leaf("mo", "→", { stretchy: "true" }), argument());
      if (name === "boxed" || name === "fbox") { const made = node("mrow", argument()); made.setAttribute("class", "boxed"); return made; }
      if (name === "mathbb" || name === "Bbb") { const letters = raw(); return leaf("mi", BOARD[letters] ?? letters, { mathvariant: "normal" }); }
      if (/^(mathbf|boldsymbol|bm|mathcal|mathfrak|mathscr)$/.test(name)) { const made = node("mrow", argument()); made.style.fontWeight = name[4] === "b" || name[0] === "b" ? "bold" : ""; return made; }
      if (name === "left") {
        const open = delimiter();
        const inside = list((token) => token === "\\right");
        if (next() !== "\\right") fail();
        const close = delimiter();
        const side = (sign, form) => (sign ? leaf("mo", sign, { stretchy: "true", form }) : null);
        return node("mrow", side(open, "prefix"), ...inside, side(close, "postfix"));
      }
      if (name === "middle") return leaf("mo", delimiter(), { stretchy: "true" });
      if (name === "begin") return table(raw());
      if (name === "not") { const made = argument(); made.textContent += "̸"; return made; }
      if (name === "pmod") return node("mrow", leaf("mspace", "", { width: "0.6em" }), leaf("mo", "("), leaf("mi", "mod"), leaf("mspace", "", { width: "0.3em" }), argument(), leaf("mo", ")"));
      if (name === "bmod" || name === "mod") return leaf("mo", "mod", { lspace: "0.3em", rspace: "0.3em" });
      if (name === "phantom" || name === "label" || name === "tag" || name === "hspace" || name === "vspace" || name === "color") { raw(); return null; }
      if (name === "cancel" || name === "textcolor" || name === "mathrel" || name === "mathbin") { if (name === "textcolor") raw(); return argument(); }
      if (name === "\\" || name === "cr" || name === "newline") return leaf("mspace", "", { linebreak: "newline" });
      if (IGNORED.has(name)) return null;
      return leaf("mtext", "\\" + name, { class: "source" });
    };

    const atom = () => {
      const token = next();
      if (token === undefined) return null;
      if (token === "{") {
        const inside = list((end) => end === "}");
        if (next() !== "}") fail();
        return node("mrow", ...inside);
      }
      if (token === "}" || token === "&") return token === "&" ? null : fail();
      if (token[0] === "\\") return command(token.slice(1));
      if (/^\d/.test(token)) {
        let number = token;
        while (tokens[at] === "," && /^\d{3}$/.test(tokens[at + 1] ?? "")) { number += "," + tokens[at + 1]; at += 2; }
        return leaf("mn", number);
      }
      if (/^\p{L}$/u.test(token)) return leaf("mi", token);
      if (token === "'") return leaf("mo", "′");
      if (token === "~") return leaf("mspace", "", { width: "0.25em" });
      const sign = { "-": "−", "*": "∗" }[token] ?? token;
      return leaf("mo", sign, /[()[\]|/]/.test(sign) ? { stretchy: "false" } : {});
    };

    // An atom with what is above and below it.
    const scripted = () => {
      const base = peek() === "^" || peek() === "_" ? node("mrow") : atom();
      let sup = null, sub = null, primes = "";
      for (;;) {
        const token = peek();
        if (token === "'" && base) { next(); primes += "′"; }
        else if (token === "^" && !sup) { next(); sup = argument(); }
        else if (token === "_" && !sub) { next(); sub = argument(); }
        else if (token === "\\limits" || token === "\\nolimits") next();
        else break;
      }
      if (primes) sup = node("mrow", leaf("mo", primes), sup);
      if (!sup && !sub) return base;
      const inner = base ?? node("mrow");
      const limits = inner.localName === "mo" && (LIMITS.has(inner.textContent) || /[∑∏∐⋃⋂⨁⨂⋁⋀]/.test(inner.textContent));
      const over = limits || inner.localName === "munder" || inner.localName === "mover" && /[⏞]/.test(inner.lastChild.textContent);
      if (sup && sub) return node(over ? "munderover" : "msubsup", inner, sub, sup);
      return sup ? node(over ? "mover" : "msup", inner, sup) : node(over ? "munder" : "msub", inner, sub);
    };

    const all = list(() => false);
    return row(all);
  }

  const render = (source, block) => {
    const made = node("math");
    if (block) made.setAttribute("display", "block");
    try {
      if (source.length > LENGTH_MAX) throw new Error("too long");
      made.append(parse(source));
      made.setAttribute("aria-label", source);
      return made;
    } catch {
      const shown = document.createElement("code");
      shown.className = "source";
      shown.textContent = source;
      return shown;
    }
  };

  // A text with its mathematics. Dollars are money more often than not: between two of them is
  // mathematics only where it looks like it, and `free` texts (of MATH) may hold plain numbers there.
  const PARTS = /\[asy\]([\s\S]*?)\[\/asy\]|\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\]|\\\(([\s\S]+?)\\\)|(\\begin\{(?:align|equation|gather|eqnarray|multline)\*?\}[\s\S]+?\\end\{(?:align|equation|gather|eqnarray|multline)\*?\})|\$((?:[^$\\\n]|\\[\s\S]|\n(?!\s*\n))+?)\$(?!\d)/g;
  const looks = (inside, free) => /\\[a-zA-Z]/.test(inside) || !/^\s|\s$/.test(inside) && (/[\\^_]/.test(inside) || free && (/^[^\s]{1,3}$/.test(inside) || /[=<>+\-*/(]|^[\d.,{}\s]+$/.test(inside) && !/[A-Za-z]{4,}/.test(inside)));
  const text = (source, free, line = false) => {
    const made = document.createDocumentFragment();
    let from = 0;
    // A block has its own distance from what is around it.
    const trim = (plain, after, before) => {
      if (line) return plain;
      if (after) plain = plain.replace(/^[ \t]*\n\s*/, "");
      return before ? plain.replace(/\n\s*$/, "") : plain;
    };
    let after = false;
    PARTS.lastIndex = 0;
    for (let found = PARTS.exec(source); found; found = PARTS.exec(source)) {
      const [whole, drawing, dollars, bracket, round, environment, dollar] = found;
      if (dollar !== undefined && !looks(dollar, free)) {
        PARTS.lastIndex = found.index + 1;
        continue;
      }
      const block = !line && (round ?? dollar) === undefined;
      made.append(trim(source.slice(from, found.index), after, block));
      if (drawing !== undefined) {
        const shown = document.createElement(line ? "span" : "pre");
        shown.className = "source";
        shown.textContent = line ? "[drawing]" : drawing.trim();
        made.append(shown);
      } else made.append(render(dollars ?? bracket ?? round ?? environment ?? dollar, block));
      after = block;
      from = found.index + whole.length;
    }
    made.append(trim(source.slice(from), after, false));
    return made;
  };
  return { text, render };
})();
