package released

import (
	"slices"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for list, want := range map[string]string{
		"":                          strings.Join(Platforms, " "),
		"linux/amd64":               "linux/amd64",
		"windows/amd64,linux/amd64": "linux/amd64 windows/amd64",
		" linux/arm , linux/arm":    "linux/arm",
	} {
		got, err := Choose(list)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %v, %v, want %s", list, got, err, want)
		}
	}
	for _, list := range []string{"plan9/amd64", "linux", "linux/amd64,", "Linux/amd64"} {
		if got, err := Choose(list); err == nil {
			t.Errorf("%q is accepted: %v", list, got)
		} else if !strings.Contains(err.Error(), "linux/amd64") {
			t.Errorf("%q: the error names no platform: %v", list, err)
		}
	}
	if !slices.IsSorted(Platforms) {
		t.Error("the platforms are not sorted")
	}
}
