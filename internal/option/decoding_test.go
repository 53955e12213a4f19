package option

import (
	"errors"
	"strings"
	"testing"
)

func TestTheDecodersWordsBecomeOnesThatHelp(t *testing.T) {
	names := []string{"generalize", "generalize_timeout", "answer_file", "memory"}
	const one, many = "1 error occurred:\n\t* ", "1 error(s) decoding:\n\n* "
	for said, want := range map[string]string{
		many + `error decoding 'generalize_timeout': time: missing unit in duration "30"`:                                              `generalize_timeout: "30" has no unit; write "30s", "30m" or "30h"`,
		many + `error decoding 'generalize_timeout': time: missing unit in duration "1h30"`:                                            `generalize_timeout: "1h30" has no unit; write one, as in "90s" or "10m"`,
		many + `error decoding 'verify.timeout': time: invalid duration "ten minutes"`:                                                 `verify.timeout: "ten minutes" is not a duration; write a number with its unit, such as "90s", "10m" or "1h30m"`,
		many + `error decoding 'x': time: unknown unit "min" in duration "5min"`:                                                       `x: "5min" is not a duration; write a number with its unit, such as "90s", "10m" or "1h30m"`,
		many + `error decoding 'generalize': Error parsing bool from given var: strconv.ParseBool: parsing "maybe": invalid syntax`:    `generalize: "maybe" is neither true nor false; write one of them`,
		many + `cannot parse 'memory' as int: strconv.ParseInt: parsing "lots": invalid syntax`:                                        `memory: "lots" is not a whole number; write digits only`,
		many + `'answer_file' expected type 'string', got unconvertible type '[]interface {}', value: '[s3cret]'`:                      `answer_file: it is a list, and has to be a text`,
		many + `'verify' expected a map, got 'string'`:                                                                                 `verify: it is a text, and has to be a block`,
		one + `unknown configuration key: '"generalise"'` + "\n\n":                                                                     `generalise: there is no such option; did you mean generalize?`,
		one + `unknown configuration key: '"iso_url"'`:                                                                                 `iso_url: there is no such option here; see the list of options in the documentation`,
		"2 errors occurred:\n\t* unknown configuration key: '\"zzzzzz\"'\n\t* unknown configuration key: '\"memroy\"'\n\n":             "memroy: there is no such option; did you mean memory?\nzzzzzz: there is no such option here; see the list of options in the documentation",
		many + "cannot parse 'memory' as int: strconv.ParseInt: parsing \"x\": invalid syntax\n* something that nobody has thought of": many + "cannot parse 'memory' as int: strconv.ParseInt: parsing \"x\": invalid syntax\n* something that nobody has thought of",
		"template: root:1: bad": "template: root:1: bad",
	} {
		got := Decoding(errors.New(said), names).Error()
		if got != want {
			t.Errorf("%q:\n%s\nwant\n%s", said, got, want)
		}
		if strings.Contains(got, "s3cret") {
			t.Errorf("%q: a value is shown", got)
		}
	}
	if err := Decoding(nil, names); err != nil {
		t.Errorf("of nothing: %v", err)
	}
}
