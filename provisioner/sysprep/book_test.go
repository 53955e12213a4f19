package sysprep

import (
	"errors"
	"slices"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// The lines of a verdict are those of the end of this run, without the head.
func TestTheLinesOfAVerdictAreThoseOfItsEnd(t *testing.T) {
	seen := verdict.Verdict{Class: verdict.Refused, Reason: "of a test"}
	said, _ := seen.Explain()
	for name, c := range map[string]struct {
		end  func(r *run) error
		want []string
	}{
		"of a verdict": {func(r *run) error { return r.explain(seen) }, said},
		"of an error after another end": {func(r *run) error {
			r.book.last = []string{"Windows is resealed", "seen: something"}
			return verdict.Fail(verdict.Head{Class: verdict.NotStarted}, errors.New("sysprep was not started: x\nmore"))
		}, []string{"sysprep was not started: x", "more"}},
		"of an error":  {func(r *run) error { return verdict.Fail(verdict.Head{Class: verdict.Lost}, errors.New("lost")) }, []string{"lost"}},
		"of a success": {func(r *run) error { r.book.last = []string{"Windows is generalized", "seen: x"}; return nil }, []string{"Windows is generalized", "seen: x"}},
	} {
		r := newRun(Config{}, &recordUI{}, nil, map[string]any{})
		r.scrub = newScrubber(nil)
		r.openBook()
		r.closeBook(t.Context(), c.end(r))
		if v := r.book.Log().Verdict; !slices.Equal(v.Lines, c.want) || v.FirstLine != c.want[0] {
			t.Errorf("%s: %q, %q, want %q", name, v.FirstLine, v.Lines, c.want)
		}
	}
}
