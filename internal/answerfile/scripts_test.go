package answerfile

import (
	"slices"
	"strings"
	"testing"
)

// A public generator puts its scripts beside the passes, and Windows keeps them in
// Panther (cschneegans/unattend-generator, element Extensions).
func TestASecretInAScriptBesideThePassesIsFound(t *testing.T) {
	text := strings.Replace(deployment(""), "<settings", `<Extensions xmlns="https://example.com/">
<File path="C:\Windows\Setup\Scripts\a.ps1">
$x = 1
net user joe S3cret!x9 /add
</File><File path="b.ps1">Set-Thing -Password $pw; net user joe /active:yes</File></Extensions><settings`, 1)
	first := strings.Count(text[:strings.Index(text, "<File")], "\n") + 1
	var lines []int
	for _, f := range Lint([]byte(text), Context{}) {
		if strings.Contains(f.Summary+f.Found+strings.Join(f.Remedy, ""), "S3cret!x9") {
			t.Errorf("the secret is in %+v", f)
		}
		if f.ID == "secret" {
			lines = append(lines, f.Where.Line)
		}
	}
	if !slices.Equal(lines, []int{first + 2}) {
		t.Errorf("findings on lines %v, want %d", lines, first+2)
	}
	file, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if places := SecretSettings(file); len(places) != 1 || !strings.HasPrefix(places[0], "File on line ") {
		t.Errorf("places %q", places)
	}
	if !slices.Contains(Secrets(file), "S3cret!x9") {
		t.Error("the secret would not be hidden in logs")
	}
}

// An encoded command and an address hold a password as well as a plain command.
func TestASecretInAnEncodedCommandIsFound(t *testing.T) {
	for _, command := range []string{
		"powershell -EncodedCommand bgBlAHQAIAB1AHMAZQByACAAagBvAGUAIABTADMAYwByAGUAdAAhACAALwBhAGQAZAA=", // net user joe S3cret! /add
		"curl -o a https://joe:S3cret1@example.com/a",
	} {
		file, err := Parse([]byte(deployment(`<RunSynchronous><RunSynchronousCommand wcm:action="add"><Order>1</Order><Path>` + command + `</Path></RunSynchronousCommand></RunSynchronous>`)))
		if err != nil {
			t.Fatal(err)
		}
		if places := SecretSettings(file); len(places) != 1 {
			t.Errorf("%s: %q", command, places)
		}
	}
}
