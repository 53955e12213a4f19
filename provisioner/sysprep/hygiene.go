package sysprep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// hygiene removes what the image is not to carry, before sysprep runs. What cannot be
// removed is a warning.
func (r *run) hygiene(ctx context.Context) (over bool, err error) {
	r.pauseAgain(ctx)
	list := preflight.CleaningsOf(r.config.Hygiene, false)
	if len(list) == 0 || r.attached != nil {
		return false, nil
	}
	r.ui.Sayf("Cleaning the guest (things: %d)", len(list))
	// The slow ones are a command of their own, so that each has its own limit.
	for len(list) > 0 && err == nil {
		n := 1
		for !list[0].Slow && n < len(list) && !list[n].Slow {
			n++
		}
		err = r.cleanAll(ctx, list[:n])
		list = list[n:]
	}
	if err != nil {
		return true, r.giveUp(ctx, err)
	}
	return false, nil
}

// cleanAll does some of them by one command, and again what was not answered for.
func (r *run) cleanAll(ctx context.Context, list []preflight.Cleaning) error {
	reset := list[0].ID == preflight.CleanResetBase
	var items []guest.HygieneItem
	for _, c := range list {
		item := guest.HygieneItem(c.ID)
		if reset {
			item = guest.HygieneComponentStore
		}
		items = append(items, item)
	}
	restart := false
	err := r.again(ctx, func() error {
		return r.session.Clean(ctx, items, reset, false, func(c guest.Cleaned) {
			items = slices.DeleteFunc(slices.Clone(items), func(i guest.HygieneItem) bool { return i == c.Item })
			restart = restart || c.Restart
			r.applied.cleaned = append(r.applied.cleaned, c)
			r.ui.Say(sizes(c))
		})
	})
	switch {
	case ctx.Err() != nil:
		return errors.New(notStarted) // giveUp says so
	case guest.Unanswered(err):
		return failed(verdict.Head{Class: verdict.NotStarted}, fmt.Errorf("sysprep was not started: the guest stopped answering while it was cleaned (%s): %w", list[0].ID, err), nil,
			"find out why the guest stopped answering, and run the build again")
	case err != nil:
		return failed(verdict.Head{Class: verdict.NotStarted}, fmt.Errorf("sysprep was not started: the guest could not be cleaned: %w", err), nil,
			"allow PowerShell for this build, or leave hygiene out")
	case restart:
		return failed(verdict.Head{Class: verdict.NotStarted}, errors.New("sysprep was not started: the component store was cleaned, and Windows wants a restart before sysprep"), nil,
			"clean it in an earlier provisioner that restarts Windows afterwards, and leave component-store out of hygiene")
	}
	return nil
}

// sizes is what became of an item, for a person.
func sizes(c guest.Cleaned) string {
	amount := func(s *guest.HygieneSize) string {
		switch {
		case s == nil:
			return "not known"
		case c.Item == guest.HygieneComponentStore:
			return bytesText(s.Bytes) + " free"
		}
		return fmt.Sprintf("%s (%d)", bytesText(s.Bytes), s.Count)
	}
	text := fmt.Sprintf("Cleaned %s: %s before, %s after", c.Item, amount(c.Before), amount(c.After))
	if c.Left > 0 || c.Problem != "" {
		return fmt.Sprintf("Warning: %s; not removed: %d, the first because: %s", strings.Replace(text, "Cleaned", "cleaned", 1), c.Left, c.Problem)
	}
	return text
}

// bytesText is a size for a person.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i, size := 0, float64(n)
	for size >= 1024 && i+1 < len(units) {
		i, size = i+1, size/1024
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[i])
}

// lastLine is a line that is run right before Windows goes down, and its name for a
// person: the line itself may hold a secret.
type lastLine struct{ name, line string }

// lastLines are those of the user, and then what hygiene asks for: after it nobody may
// be able to log in.
func (c *Config) lastLines() (lines []lastLine) {
	for i, line := range c.BeforeShutdown {
		lines = append(lines, lastLine{fmt.Sprintf("before_shutdown[%d]", i), line})
	}
	for _, cleaning := range c.endCleanings() {
		line := map[string]string{preflight.CleanPassword: guest.RandomPassword, preflight.CleanAccount: guest.DisableBuildAccount}[cleaning.ID]
		lines = append(lines, lastLine{"hygiene " + cleaning.ID, line})
	}
	return lines
}

// texts are the lines themselves.
func texts(lines []lastLine) (all []string) {
	for _, l := range lines {
		all = append(all, l.line)
	}
	return all
}
