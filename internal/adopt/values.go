package adopt

import "strings"

// references is how many variables may stand behind each other.
const references = 5

var user = lazily("\\{\\{\\s*user\\s+[`'\"]([\\w.-]+)[`'\"]\\s*\\}\\}")

// meaning is an option, or where it is nothing but a variable or a local of the file, the
// value of that.
func (w *work) meaning(a attr) attr {
	for range references {
		if len(a.elems) != 1 {
			return a
		}
		text := a.elems[0].text
		if w.json {
			text = user().ReplaceAllString(text, "{{user `$1`}}")
		}
		value, ok := w.values[text]
		if !ok {
			return a
		}
		a = value
	}
	return a
}

// spelled is a text with the variables and locals of the file put in, as far as each is
// one text.
func (w *work) spelled(text string) string {
	if w.json {
		text = user().ReplaceAllString(text, "{{user `$1`}}")
	}
	for range references {
		before := text
		for name, value := range w.values {
			if len(value.elems) == 1 && !value.list && strings.Contains(text, name) {
				text = strings.ReplaceAll(text, name, value.elems[0].text)
			}
		}
		if text == before || len(text) > MaxSize {
			break
		}
	}
	return text
}
