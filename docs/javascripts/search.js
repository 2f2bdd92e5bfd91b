// Material appends a wildcard to each word of a query, and searches for any of them. Lunr then does not stem the words
// ("commits*" does not find "commit"), keeps "a" and "is", and ranks long pages first. Here a query is tried in three
// forms, until one has results: all words; all words, the last one unfinished; any of the words.
const QUERY = 2; // types of the messages between Material and its worker
const RESULT = 3;
const COMMON = new Set(
  `a an and are as at be been but by can cannot could did do does for from get got had has have how i if in into is it its
  just may me must my no nor not of off often on only or other our own say says she should so some than that the their
  them then there these they this to too us want was we were what when where which while who whom why will with would
  yet you your`.split(/\s+/),
);
const post = Worker.prototype.postMessage;
const waiting = new WeakMap(); // for each worker: the queries without a result, and the forms that are left
let newest; // an older query has no second form: its result would replace that of a newer one

function forms(text) {
  // Signs of Lunr's syntax are no part of a word: "--accept-flaky" would mean "without the word".
  const words = text.toLowerCase().split(/[\s\-:^~*+"/()`]+/).filter(Boolean);
  const rare = words.filter((word) => !COMMON.has(word));
  const kept = rare.length ? rare : words;
  if (!kept.length) return [""];
  const last = kept[kept.length - 1];
  const each = kept.map((word) => `+${word}^1`);
  const any = kept.map((word) => `${word}^1`);
  return [each.join(" "), [...each.slice(0, -1), `+${last}*`].join(" "), [...any, last].join(" ")];
}

function send(worker, [form, ...left], query) {
  waiting.get(worker).push({ left, query });
  post.call(worker, { type: QUERY, data: form });
}

Worker.prototype.postMessage = function (message, ...rest) {
  if (!message || message.type !== QUERY) return post.call(this, message, ...rest);
  if (!waiting.has(this)) {
    waiting.set(this, []);
    const tryNext = (event) => {
      if (event.data.type !== RESULT) return;
      const { left, query } = waiting.get(this).shift();
      if (event.data.data.items.length || !left.length || query !== newest) return;
      event.stopImmediatePropagation(); // Material does not see an empty result
      send(this, left, query);
    };
    this.addEventListener("message", tryNext, true); // captures: it is called before Material's listener
  }
  newest = { text: message.data };
  return send(this, forms(message.data), newest);
};
