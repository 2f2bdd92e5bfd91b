// The search reads a leading dash as "without this word". Here a word with dashes is a flag: find it.
document.addEventListener(
  "keyup",
  (event) => {
    const field = event.target;
    if (field instanceof HTMLInputElement && field.matches(".md-search__input")) {
      const plain = field.value.replace(/(^|\s)-+/g, "$1");
      if (plain !== field.value) field.value = plain;
    }
  },
  true,
);
