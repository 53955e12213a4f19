package winimage

import (
	"slices"
	"testing"
)

// An assertion that compares a fact with itself cannot fail, and proves nothing.
func TestWhatIsNotAskedIsNotAsserted(t *testing.T) {
	asked := []string{"cached-answer-file", "vm-mode"}
	for name, c := range map[string]struct {
		e     Expectation
		holds map[string]bool
	}{
		"nothing is known of the run":     {Expectation{}, map[string]bool{}},
		"run as the image shows":          {Expectation{AnswerFile: true, VMMode: yes(false)}, map[string]bool{"cached-answer-file": true, "vm-mode": true}},
		"without /unattend, with mode:vm": {Expectation{VMMode: yes(true)}, map[string]bool{"vm-mode": false}}, // the file is one of the installation
	} {
		w := Windows{AnswerFiles: []AnswerFile{{File: File{Path: cachedAnswerFile}}}}
		holds := map[string]bool{}
		for _, a := range Prove(Facts{Windows: []Windows{w}}, c.e) {
			if slices.Contains(asked, a.ID) {
				holds[a.ID] = a.Holds
			}
		}
		for _, id := range asked {
			got, made := holds[id]
			want, wanted := c.holds[id]
			if made != wanted || got != want {
				t.Errorf("%s: %s was made: %t, holds: %t", name, id, made, got)
			}
		}
	}
}
