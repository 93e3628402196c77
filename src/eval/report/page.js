
// The page: a list of problems, and one of them with its candidates. What models wrote comes from
// packed blocks and goes into the page as text nodes only.
(() => {
  const find = (id) => document.getElementById(id);
  const make = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const key in attributes ?? {}) {
      const value = attributes[key];
      if (value === null || value === undefined || value === false) continue;
      if (key === "style") for (const property in value) made.style.setProperty(property, value[property]);
      else made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return made;
  };
  const unpack = async (id) => {
    const packed = Uint8Array.from(atob(find(id).textContent), (sign) => sign.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  };
  const count = new Intl.NumberFormat("en");
  const ID = 0, QUESTION = 1, RIGHT = 2, ALL = 3, WAYS = 4, FILTER = 5;
  const STEP = 150;

  let run = 0, list = null, shown = [], drawn = 0, open = -1, scrolled = 0;
  const chunks = new Map();
  const details = async (index) => {
    let chunk = list.chunks.length - 1;
    while (list.chunks[chunk] > index) chunk--;
    const id = `chunk-${run}-${chunk}`;
    if (!chunks.has(id)) chunks.set(id, unpack(id));
    return (await chunks.get(id))[index - list.chunks[chunk]];
  };

  // The list.

  const isRight = (row, way) => row[WAYS][way] === "1";
  const mark = (right, name) => make("span", { class: `mark ${right ? "yes" : "no"}`, title: `${name}: ${right ? "right" : "wrong"}` }, right ? "✓" : "✗");
  const FILTERS = {
    all: () => true,
    differ: (row) => row[WAYS].includes("1") && row[WAYS].includes("0"),
    right: (row, a) => isRight(row, a),
    wrong: (row, a) => !isRight(row, a),
    only: (row, a, b) => isRight(row, a) && !isRight(row, b),
    missed: (row, a) => !isRight(row, a) && row[RIGHT] > 0,
    never: (row) => row[RIGHT] === 0,
    lost: (row) => row[FILTER] === "l",
    dropped: (row) => row[FILTER] === "d",
  };
  const sift = () => {
    const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const a = Number(find("a").value), b = Number(find("b").value);
    const keep = FILTERS[find("show").value];
    const share = (index) => list.problems[index][RIGHT] / Math.max(1, list.problems[index][ALL]);
    shown = [];
    list.problems.forEach((row, index) => {
      if (!keep(row, a, b)) return;
      if (words.length) {
        const text = list.lower[index] ??= `${row[ID]} ${row[QUESTION]}`.toLowerCase();
        if (!words.every((word) => text.includes(word))) return;
      }
      shown.push(index);
    });
    const sort = find("sort").value;
    if (sort !== "file") shown.sort((x, y) => (share(x) - share(y)) * (sort === "hard" ? 1 : -1) || x - y);
    find("count").textContent = `${count.format(shown.length)} of ${count.format(list.problems.length)}`;
    find("list").replaceChildren();
    drawn = 0;
    if (shown.length) draw();
    else find("list").append(make("p", { class: "empty" }, "No problem is like this."));
  };
  const draw = (to = drawn + STEP) => {
    const rows = document.createDocumentFragment();
    for (; drawn < Math.min(to, shown.length); drawn++) {
      const index = shown[drawn], row = list.problems[index];
      rows.append(make("li", { tabindex: drawn ? -1 : 0, role: "link", "data-index": index },
        make("span", { class: "id" }, row[ID]),
        make("span", { class: "question" }, list.math ? Latex.text(row[QUESTION], true, true) : row[QUESTION]),
        make("span", { class: "share", title: `${row[RIGHT]} of ${row[ALL]} candidates are right` },
          `${row[RIGHT]}/${row[ALL]}`, make("i", { style: { "--part": `${(100 * row[RIGHT]) / Math.max(1, row[ALL])}%` } })),
        make("span", { class: "marks" }, list.ways.map((name, way) => mark(isRight(row, way), name)))));
    }
    find("list").append(rows);
    if (drawn < shown.length) more.observe(find("list").lastElementChild);
  };
  const more = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting) { more.unobserve(one.target); draw(); }
  }, { rootMargin: "600px" });
  const focusRow = (row) => {
    if (!row) return;
    find("list").querySelector('[tabindex="0"]')?.setAttribute("tabindex", -1);
    row.setAttribute("tabindex", 0);
    row.focus();
    row.scrollIntoView({ block: "nearest" });
  };

  // One problem.

  // Programs that behave alike are called by a letter, the most frequent ones A.
  const letter = (place) => (place < 26 ? "" : letter(Math.floor(place / 26) - 1)) + String.fromCharCode(65 + (place % 26));
  const answerOf = (candidate, problem) => candidate.answer ?? problem.names?.get(candidate.class) ?? (problem.code ? "no program" : "no answer");
  const behaviour = (candidate) => candidate.outputs?.map((output) => output.replace(/^!/, "")).join(", ") ?? candidate.outcome ?? "";
  const score = (value) => (value === undefined ? "—" : value.toFixed(3));
  const votes = (problem) => {
    const classes = new Map();
    problem.candidates.forEach((candidate) => {
      const key = candidate.class ?? -1;
      const known = classes.get(key) ?? { class: candidate.class, answer: candidate.answer ?? "no answer", gives: behaviour(candidate), right: candidate.right, votes: 0, agrees: 0, disagrees: 0, best: undefined };
      known.votes++;
      if (candidate.verdict === "agrees") known.agrees++;
      if (candidate.verdict === "disagrees") known.disagrees++;
      if (candidate.score !== undefined && !(known.best > candidate.score)) known.best = candidate.score;
      classes.set(key, known);
    });
    const sorted = [...classes.values()].sort((x, y) => y.votes - x.votes);
    if (problem.code) {
      sorted.forEach((one, place) => { one.answer = one.class === undefined ? "no program" : letter(place); });
      problem.names = new Map(sorted.map((one) => [one.class, one.answer]));
    }
    return sorted;
  };
  const short = (text, most = 80) => (text.length > most ? `${text.slice(0, most)}…` : text);
  const line = (name, given) => make("div", {}, make("span", { class: "quiet" }, name), given);
  const fold = (name, ...children) => make("details", {}, make("summary", {}, name), ...children);
  // The two sides of a candidate: what it says, and what its program does.
  const said = (candidate) => {
    const text = make("div", { class: "said" });
    text.append(Latex.text(candidate.text, list.math));
    const gives = candidate.outcome ?? candidate.value;
    const output = (gives ?? candidate.stdout) !== undefined && make("div", { class: "gives" },
      gives !== undefined && line(candidate.outcome ? "ended" : "gives", make("span", { class: "answer" }, gives)),
      candidate.stdout !== undefined && line("printed", make("pre", {}, candidate.stdout)));
    return [[text], [candidate.program !== undefined && make("pre", {}, candidate.program), output]];
  };
  const coded = (candidate, problem) => [
    [make("pre", {}, candidate.program ?? candidate.text),
      candidate.program !== undefined && fold("the whole reply", make("pre", {}, candidate.text)),
      candidate.description !== undefined && line("described as", make("div", { class: "said" }, candidate.description))],
    [candidate.outcome !== undefined && line("ended", make("span", { class: "answer" }, candidate.outcome)),
      candidate.stdout !== undefined && line("printed", make("pre", {}, candidate.stdout)),
      candidate.outputs && make("div", { class: "outputs" }, make("table", {}, make("tbody", {}, candidate.outputs.map((given, place) =>
        make("tr", {}, make("td", {}, problem.inputs?.[place] ?? ""), make("td", { class: given.startsWith("!") ? "quiet" : null }, given.replace(/^!/, "raises ")))))))],
  ];
  const card = (candidate, index, problem) => {
    const by = list.ways.filter((_, way) => problem.chosen[way] === index);
    const verdicts = problem.code ? { agrees: "passes the examples", disagrees: "fails" } : { "unclear: no program": "no program" };
    const sides = (problem.code ? coded(candidate, problem) : said(candidate)).map((side) => side.filter(Boolean));
    return make("article", { class: `card ${candidate.right ? "yes" : "no"}`, id: `candidate-${index}`, tabindex: -1 },
      make("header", {},
        make("span", { class: "number" }, `#${index + 1}`),
        make("span", { class: `mark ${candidate.right ? "yes" : "no"}` }, candidate.right ? "✓" : "✗"),
        make("span", { class: `answer ${candidate.right ? "yes" : "no"}` }, short(answerOf(candidate, problem), 120)),
        candidate.verdict !== "unclear: itself" && make("span", { class: `verdict ${candidate.verdict}` }, verdicts[candidate.verdict] ?? candidate.verdict),
        candidate.score !== undefined && make("span", { title: "the verifier's score" }, `score ${score(candidate.score)}`),
        candidate.tokens !== undefined && make("span", { class: "quiet" }, `${candidate.tokens} tokens`),
        by.length > 0 && make("span", { class: "by" }, `chosen by ${by.join(", ")}`)),
      make("div", { class: `sides ${sides[1].length ? "" : "one"}` }, sides.filter((side) => side.length).map((side) => make("div", {}, side))));
  };
  const show = async (index) => {
    const row = list.problems[index];
    const problem = await details(index);
    if (open !== index) return;
    const place = shown.indexOf(index);
    const turn = (to, text, key) => make("button", { type: "button", disabled: shown[to] === undefined, "data-to": shown[to], title: key }, text);
    const voted = votes(problem), most = Math.max(...voted.map((one) => one.votes), 1);
    const judged = voted.some((one) => one.agrees || one.disagrees);
    const scored = problem.candidates.some((candidate) => candidate.score !== undefined);
    const chosenOf = (way) => {
      const chosen = problem.chosen[way];
      return typeof chosen !== "number" ? chosen ?? "—" : answerOf(problem.candidates[chosen], problem) + (problem.code ? ` #${chosen + 1}` : "");
    };
    const chosenBy = list.ways.map((name, way) => make("tr", { class: `${list.classes[way]} ${isRight(row, way) ? "yes" : "no"}` },
      make("td", {}, make("i", { class: "key" }), name), make("td", {}, make("span", { class: "answer" }, short(chosenOf(way)))), make("td", { class: "n" }, mark(isRight(row, way), name))));
    const cards = make("div", {});
    const pick = make("select", { id: "pick", "aria-label": "Which candidates are shown" },
      ...[["all", "all candidates"], ["yes", "right ones"], ["no", "wrong ones"], ["agrees", problem.code ? "passes the examples" : "program agrees"], ["disagrees", problem.code ? "fails" : "program disagrees"]].map(([value, text]) => make("option", { value }, text)));
    const order = make("select", { id: "order", "aria-label": "Order of candidates" },
      make("option", { value: "drawn" }, "as sampled"), make("option", { value: "ranked" }, `as ranked (${problem.rule})`));
    const deal = () => {
      const places = order.value === "ranked" ? problem.ranking : problem.candidates.map((_, place) => place);
      const fits = (candidate) => pick.value === "all" || candidate.verdict === pick.value || (candidate.right ? "yes" : "no") === pick.value;
      cards.replaceChildren(...places.filter((place) => fits(problem.candidates[place])).map((place) => card(problem.candidates[place], place, problem)));
    };
    pick.addEventListener("change", deal);
    order.addEventListener("change", deal);
    const asked = make("div", { class: "asked" });
    asked.append(Latex.text(row[QUESTION], list.math));
    find("problem").replaceChildren(
      make("div", { class: "turn" }, make("button", { type: "button", "data-back": true, title: "Escape" }, "← all problems"),
        make("span", { class: "place" }, place < 0 ? "" : `${count.format(place + 1)} of ${count.format(shown.length)}`),
        turn(place - 1, "← previous", "left arrow"), turn(place < 0 ? NaN : place + 1, "next →", "right arrow")),
      make("h1", {}, `Problem ${row[ID]}`), asked,
      make("div", { class: "outcome" },
        make("section", {}, make("h2", {}, problem.code ? "Programs that behave alike" : "Answers ", !problem.code && problem.gold != null && make("span", { class: "quiet" }, "· right is ", make("span", { class: "gold" }, short(problem.gold, 1500)))),
          make("div", { class: "wide" }, make("table", { class: `votes ${problem.code ? "code" : ""}` },
            make("thead", {}, make("tr", {}, make("th", {}, problem.code ? "" : "answer"), problem.code && make("th", {}, "gives"), make("th", {}, "candidates"), judged && make("th", { class: "n" }, problem.code ? "pass" : "agree"), judged && make("th", { class: "n" }, problem.code ? "fail" : "disagree"), scored && make("th", { class: "n" }, "best score"))),
            make("tbody", {}, voted.map((one) => make("tr", { class: one.right ? "yes" : "no" },
              make("td", {}, make("span", { class: "answer" }, short(one.answer))), problem.code && make("td", { class: "gist", title: one.gives }, one.gives),
              make("td", {}, make("b", { class: "amount", style: { width: `${(7 * one.votes) / most}rem` } }), one.votes),
              judged && make("td", { class: "n" }, one.agrees || "·"), judged && make("td", { class: "n" }, one.disagrees || "·"), scored && make("td", { class: "n" }, score(one.best)))))))),
        make("section", {}, make("h2", {}, "Chosen"), make("table", {}, make("tbody", {}, chosenBy)),
          problem.code && problem.gold != null && fold("a right program", make("pre", {}, problem.gold)),
          problem.tests != null && fold("hidden tests", make("pre", {}, problem.tests)))),
      make("section", { class: "candidates" }, make("div", { class: "tools" }, make("h2", {}, `${row[RIGHT]} of ${row[ALL]} candidates right`), pick, order), cards));
    deal();
    find("problem").focus({ preventScroll: true });
    scrollTo(0, 0);
  };

  // Where we are: #p/run/index is a problem, all else the overview.

  const go = (index) => { location.hash = `p/${run}/${index}`; };
  const back = () => { if (open >= 0) location.hash = "problems"; };
  const route = async () => {
    const at = /^#p\/(\d+)\/(\d+)$/.exec(location.hash);
    if (!at) {
      if (open >= 0) {
        const left = open;
        open = -1;
        find("problem").hidden = true;
        find("problem").replaceChildren();
        find("overview").hidden = false;
        if (shown.indexOf(left) >= drawn) draw(shown.indexOf(left) + 1);
        scrollTo(0, location.hash === "#overview" ? 0 : scrolled);
        if (location.hash === "#problems") focusRow(find("list").querySelector(`[data-index="${left}"]`));
      }
      return;
    }
    if (Number(at[1]) !== run) await load(Number(at[1]));
    if (!list.problems[at[2]]) return;
    if (open < 0) scrolled = scrollY;
    open = Number(at[2]);
    find("overview").hidden = true;
    find("problem").hidden = false;
    await show(open);
  };
  const load = async (which) => {
    if (!find(`list-${which}`)) return;
    run = which;
    list = await unpack(`list-${which}`);
    list.lower = [];
    document.querySelectorAll(".run").forEach((one) => { one.hidden = Number(one.dataset.run) !== run; });
    if (find("run")) find("run").value = run;
    const options = () => list.ways.map((name, way) => make("option", { value: way }, name));
    find("a").replaceChildren(...options());
    find("b").replaceChildren(...options());
    find("a").value = Math.max(0, list.ways.length > 1 ? 1 : 0);
    find("b").value = 0;
    const ids = Math.max(...list.problems.slice(0, 500).map((row) => row[ID].length), 3);
    find("problems").style.setProperty("--ids", `${Math.min(0.55 * ids, 13) + 0.5}rem`);
    find("problems").style.setProperty("--marks", `${Math.max(1.5 * list.ways.length, 3)}rem`);
    find("head").replaceChildren(make("span", {}, "id"), make("span", {}, "question"), make("span", { class: "n" }, "right"),
      make("span", { class: "marks" }, list.ways.map((name) => make("span", {}, name))));
    sift();
  };

  for (const id of ["show", "a", "b", "sort"]) find(id).addEventListener("change", sift);
  let waiting = 0;
  find("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(sift, 60); });
  find("tools").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    sift();
    if (shown.length) focusRow(find("list").firstElementChild);
  });
  find("run")?.addEventListener("change", (event) => load(Number(event.target.value)));
  find("list").addEventListener("click", (event) => {
    const row = event.target.closest("[data-index]");
    if (row) go(Number(row.dataset.index));
  });
  find("problem").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.to) go(Number(button.dataset.to));
    else if (button && "back" in button.dataset) back();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const writing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName);
    const key = event.key;
    const row = document.activeElement?.closest?.("#list > li");
    if (key === "Escape") {
      if (open >= 0) back();
      else if (document.activeElement === find("search")) { find("search").value = ""; sift(); }
      else return;
    } else if (open >= 0) {
      if (writing || key !== "ArrowLeft" && key !== "ArrowRight") return;
      const to = shown[shown.indexOf(open) + (key === "ArrowLeft" ? -1 : 1)];
      if (to === undefined) return;
      go(to);
    } else if (key === "/" && !writing) find("search").focus();
    else if (key === "ArrowDown" && document.activeElement === find("search")) focusRow(find("list").querySelector("[data-index]"));
    else if (row && (key === "ArrowDown" || key === "j")) { if (!row.nextElementSibling) draw(); focusRow(row.nextElementSibling); }
    else if (row && (key === "ArrowUp" || key === "k")) { if (row.previousElementSibling) focusRow(row.previousElementSibling); else find("search").focus(); }
    else if (row && (key === "Enter" || key === " ")) go(Number(row.dataset.index));
    else return;
    event.preventDefault();
  });

  // A curve is picked out of many by pointing at it, in all drawings at once.
  const pick = (way) => document.querySelectorAll(".plot").forEach((plot) => {
    const series = [...plot.querySelectorAll("[data-way]")];
    if (!series.length) return;
    plot.classList.toggle("picked", way !== null);
    series.forEach((one) => one.classList.toggle("pick", one.dataset.way === way));
  });
  document.querySelectorAll(".plot [data-way]").forEach((one) => {
    one.addEventListener("pointerenter", () => pick(one.dataset.way));
    one.addEventListener("pointerleave", () => pick(null));
  });

  addEventListener("hashchange", route);
  load(0).then(route).then(() => {
    // The list was not there when the browser looked for the place.
    if (open < 0 && location.hash) find(location.hash.slice(1))?.scrollIntoView();
    document.documentElement.dataset.ready = "true";
  });
})();
