package console

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextsComeInTheCodePageThatWasAskedFor(t *testing.T) {
	const missing = "ERROR: The system was unable to find the specified registry key or value."
	for _, tt := range []struct {
		console Console
		want    string
	}{
		{Console{}, missing},
		{Console{CodePage: "850"}, missing},
		{Console{"de", UTF8}, "FEHLER: Der angegebene Registrierungsschlüssel bzw. Wert wurde nicht gefunden."},
		{Console{"de", ""}, "FEHLER: Der angegebene Registrierungsschl\x81ssel bzw. Wert wurde nicht gefunden."},
		{Console{"fr", "850"}, "ERREUR : le syst\x8ame n'a pas trouv\x82 la cl\x82 ou la valeur de Registre sp\x82cifi\x82e."},
	} {
		if got := tt.console.Text(missing); got != tt.want {
			t.Errorf("%+v: %q", tt.console, got)
		}
	}
	if got := (Console{Language: "de"}).Text("%s", "Access is denied."); got != "Zugriff verweigert" {
		t.Errorf("a text as an argument: %q", got)
	}
	if got := (Console{Language: "de"}).Text("%s", "Running\u4e00"); got != "Running?" {
		t.Errorf("data: %q", got)
	}
}

// A text whose English is not said anywhere would never be shown.
func TestEveryTextIsSaid(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"../*.go", "../cmdshell/*.go", "../winfs/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(err, files)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(file, "_test.go") {
				source.Write(b)
			}
		}
	}
	for _, language := range Languages() {
		if len(texts[language]) != len(texts["de"]) {
			t.Errorf("%s: %d texts", language, len(texts[language]))
		}
		for english, text := range texts[language] {
			quoted := strings.NewReplacer(`"`, `\"`, "\r\n", `\r\n`).Replace(english)
			quoted, english = strings.TrimSuffix(quoted, "."), strings.TrimSuffix(english, ".")
			if !strings.Contains(source.String(), quoted) && !strings.Contains(source.String(), english) {
				t.Errorf("%q is said nowhere", english)
			}
			for _, r := range text {
				if _, ok := oem850[r]; r >= utf8.RuneSelf && !ok {
					t.Errorf("%q: %q is not in the code page", text, r)
				}
			}
		}
	}
}
