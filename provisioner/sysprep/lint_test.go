package sysprep

import (
	"fmt"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

func TestSeveritiesOfTheLinterAreTheUsers(t *testing.T) {
	wrong := `unattend {
	oobe {
		protect_your_pc = 9
	}
}`
	if _, err := decodeHCL(t, wrong); err == nil {
		t.Error("what Windows refuses is accepted")
	}
	c, err := decodeHCL(t, wrong+"\nlint {\n severities = { value = \"warning\", \"oobe-region\" = \"off\" }\n}")
	if err != nil {
		t.Fatal(err)
	}
	warned := strings.Join((&run{config: c}).answerWarnings("amd64"), "\n")
	want(t, warned, "[value]", "[oobe-licence]")
	if strings.Contains(warned, "[oobe-region]") {
		t.Errorf("what is off is said: %s", warned)
	}
	for severities, says := range map[string]string{
		`{ values = "off" }`: "lint.severities: no rule is called values", `{ value = "loud" }`: `lint.severities: value = "loud" is not one of error, warning, note, off`,
	} {
		_, err := decodeHCL(t, "lint {\n severities = "+severities+"\n}")
		wantError(t, err, says)
	}
}

func TestAWarningCanBeMadeAnError(t *testing.T) {
	_, err := decodeHCL(t, fmt.Sprintf("answer_file_content = %q\nlint {\n severities = { \"oobe-region\" = \"error\" }\n}", testAnswer))
	wantError(t, err, "[oobe-region]")
}

func TestANameThatWindowsDoesNotKnowIsRefusedUnlessToldOtherwise(t *testing.T) {
	block := "unattend {\n time_zone = \"Mars Standard Time\"\n}"
	_, err := decodeHCL(t, block)
	wantError(t, err, "unattend.time_zone: not a time zone that Windows knows")
	c, err := decodeHCL(t, block+"\nlint {\n severities = { \"time-zone\" = \"warning\" }\n}")
	if err != nil {
		t.Fatal(err)
	}
	if c.severities["time-zone"] != finding.Warn {
		t.Errorf("got %v", c.severities)
	}
	// In a file it is a warning: it may be a newer Windows'.
	if _, err := decodeHCL(t, fmt.Sprintf("answer_file_content = %q", strings.Replace(testAnswer, "<UserAccounts>", "<TimeZone>Mars Standard Time</TimeZone><UserAccounts>", 1))); err != nil {
		t.Error(err)
	}
}
