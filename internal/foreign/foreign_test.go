package foreign

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
)

func TestTextKeepsWhatPeopleWrite(t *testing.T) {
	for _, s := range []string{
		"", "plain text", `C:\Windows\System32\Sysprep\x1b\u202e.log`, `\\server\share$`, "Größe: 5 µm – „Übung“", "日本語　テキスト", "葛\U000e0100城市",
		"עברית و العربية", "Tiếng Việt, é", "emoji 😀 ❤️ 👩🏽‍⚕️ 👨‍👩‍👧 🏴‍☠️ 1️⃣ ©️ 🇩🇪", "a::b and 10:30", "[::1]:5985", "C#", "## heading", "##", "# [x]",
		"2026-11-28 10:00:00, Info  SYSPRP x", "a - b --- c", "-----", "100 %", "\u00a0narrow\u202fspace",
	} {
		if got := Text(s); got != s {
			t.Errorf("Text(%q) = %q", s, got)
		}
	}
}

func TestTextShowsWhatWouldDoSomething(t *testing.T) {
	for s, want := range map[string]string{
		"\x1b[2J\x1b]8;;http://x\x07y":            `\x1b[2J\x1b]8;;http://x\x07y`,
		"\x1b]52;c;cm0gLXJm\x1b\\":                `\x1b]52;c;cm0gLXJm\x1b\`,
		"\x1bPq\u009b31m\u0090\u009d":             `\x1bPq\u009b31m\u0090\u009d`,
		"a\rb\x08c\x00d\x7f":                      `a\x0db\x08c\x00d\x7f`,
		"a\nb":                                    `a\x0ab`,
		"tab\tstop":                               "tab stop",
		"\x9b31m\xff":                             `\x9b31m\xff`,
		"a\u202eb\u2066c\u2069\u200f\u061c":       `a\u202eb\u2066c\u2069\u200f\u061c`,
		"a\u200bb\ufeffc\u2060\u00add\u3164":      `a\u200bb\ufeffc\u2060\u00add\u3164`,
		"a\u2028b\u2029c\u0085d\v\f":              `a\u2028b\u2029c\u0085d\x0b\x0c`,
		"a\u200db \ufe0f":                         `a\u200db \ufe0f`,
		"\U000e0041\U000e007f":                    `\U000e0041\U000e007f`,
		"\ufff9\ue000\U0010fffd\uffff":            `\ufff9\ue000\U0010fffd\uffff`,
		"::set-output name=x::y":                  `\x3a:set-output name=x::y`,
		" \u3000\u00a0::error::x":                 " \u3000\u00a0" + `\x3a:error::x`,
		"\t::add-mask::x":                         ` \x3a:add-mask::x`,
		"x ##vso[task.setvariable variable=x]y":   `x \x23#vso[task.setvariable variable=x]y`,
		"##[error]x ###[group]":                   `\x23#[error]x #\x23#[group]`,
		"##VSO[x] ##teamcity[x]":                  `\x23#VSO[x] \x23#teamcity[x]`,
		"##v\u00adso[x]":                          `##v\u00adso[x]`,
		"#\ufe0f#\ufe0fvso[x]":                    `#\ufe0f#\ufe0fvso[x]`, // some comparisons pass over the invisible
		"section_start:0:x\r\x1b[0K section_end:": `\x73ection_start:0:x\x0d\x1b[0K \x73ection_end:`,
		"--- folded":                              `\x2d-- folded`,
		" +++\tx":                                 ` \x2b++ x`,
	} {
		if got := Text(s); got != want {
			t.Errorf("Text(%q)\n got %s\nwant %s", s, got, want)
		}
	}
}

func TestLinesKeepsItsLineBreaksOnly(t *testing.T) {
	got := Lines("one\r\ntwo\rx\n::error::x\n\n  ##[group]\nend")
	want := "one\ntwo\\x0dx\n\\x3a:error::x\n\n  \\x23#[group]\nend"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLengthIsBounded(t *testing.T) {
	for name, c := range map[string]struct{ in, end string }{
		"long":          {strings.Repeat("x", 15<<20), "… (15720488 more bytes)"},
		"escapes":       {strings.Repeat("\x1b", 1<<20), " more bytes)"},
		"joined emoji":  {strings.Repeat("👨‍", 1<<20), " more bytes)"},
		"marks":         {"a" + strings.Repeat("\u0301", 1<<20), " more bytes)"},
		"a long number": {strings.Repeat("日", 1<<20), " more bytes)"},
	} {
		got := Text(c.in)
		if len(got) > MaxLine || !strings.HasSuffix(got, c.end) || Text(got) != got {
			t.Errorf("%s: %d bytes, end %q", name, len(got), got[max(0, len(got)-60):])
		}
	}
	got := Lines(strings.Repeat("line\n", 1<<20))
	if strings.Count(got, "\n") >= maxLines || !strings.HasSuffix(got, "… (1048078 more lines)") || Lines(got) != got {
		t.Errorf("%d lines, end %q", strings.Count(got, "\n"), got[len(got)-60:])
	}
	if got := Lines(strings.Repeat(strings.Repeat("y", 8000)+"\n", 100)); len(got) > maxText || !strings.HasSuffix(got, "more lines)") || Lines(got) != got {
		t.Errorf("%d bytes", len(got))
	}
	if got := Limit(strings.Repeat("z", 100), 0); len(got) > markRoom || Limit(got, 0) != got {
		t.Errorf("got %q", got)
	}
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{
		"", "a\x1b[31mb", "::error::x", " \u00a0::x", "##vso[a]b", "##[a]", "##teamcity[x]", "section_start:1:a\r\x1b[0K", "\u202e\u2066", "👨‍👩‍👧 ❤️", "1️⃣",
		"#\ufe0f#\ufe0f[", "\xff\xfe", "a\u200d\u200db", "--- x", "\u2028::x", "##\u200bvso[", "葛\U000e0100", "\t--- x", "s\x00ection_start:", strings.Repeat("👩‍", 4000), "\ue000", "section_stArt:1:a", foreigntest.Hostile,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, limit := range []int{0, 60, MaxLine} {
			got := Limit(s, limit)
			if h := foreigntest.Harm(got); h != "" || strings.Contains(got, "\n") {
				t.Fatalf("%q became %q: %s", s, got, h)
			}
			if again := Limit(got, limit); again != got {
				t.Fatalf("%q became %q, then %q", s, got, again)
			}
			if len(got) > max(limit, markRoom) {
				t.Fatalf("%d bytes, limit %d", len(got), limit)
			}
		}
		lines := Lines(s)
		if Lines(lines) != lines {
			t.Fatalf("%q: Lines twice is %q", s, Lines(lines))
		}
		for _, line := range strings.Split(lines, "\n") {
			if h := foreigntest.Harm(line); h != "" {
				t.Fatalf("%q became %q: %s", s, line, h)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{"", "a\x1bb\x7f", "##vso[a]", "\u202e", "😀 👨‍👩‍👧", "\U000e0041", "section_end:1:x", "\xff", "\u0085\ue000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		plain, err := json.Marshal(map[string]string{"k": s, s: "v"})
		if err != nil {
			t.Fatal(err)
		}
		shown := JSON(plain)
		var a, b any
		if json.Unmarshal(plain, &a) != nil || json.Unmarshal(shown, &b) != nil {
			t.Fatalf("%s became %s", plain, shown)
		}
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%s says something else than %s", shown, plain)
		}
		if h := foreigntest.Harm(string(shown)); h != "" {
			t.Fatalf("%s: %s", shown, h)
		}
	})
}
