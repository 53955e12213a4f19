package guest

import (
	"errors"
	"strings"
	"testing"
)

func TestTheErrorsOfAppDeploymentAreText(t *testing.T) {
	const events = "Event[0]:\r\n  Description: 0x80073CFA\r\n"
	f := scripted("a banner\r\npacker-part:events\r\n"+events, "")
	got, err := New(f, "id").AppErrors(t.Context())
	if err != nil || string(got) != events {
		t.Errorf("%q, %v", got, err)
	}
	if line := f.lines()[0]; !strings.Contains(line, `wevtutil qe "Microsoft-Windows-AppXDeploymentServer/Operational" /q:"*[System[(Level=1 or Level=2)]]" /c:20 /rd:true /f:text`) {
		t.Error(line)
	}
	if _, err := New(scripted("nothing\r\n", ""), "id").AppErrors(t.Context()); !errors.Is(err, ErrUnreadable) {
		t.Errorf("an answer without a mark: %v", err)
	}
}
