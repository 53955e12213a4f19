package vhd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
)

// newHeart makes what all waits of a build say that they go on with.
func newHeart(ui packersdk.Ui) *heartbeat.Heart {
	return heartbeat.New(heartbeat.Real(time.Now, nil), ui.Say)
}

// awaits begins a wait for the guest; with each line the machine is looked at.
func (r *run) awaits(ctx context.Context, f heartbeat.Facts) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{give: cancel}
	before := lifeSign{}
	w.wait = r.heart.Looking(f, func() string {
		now := r.lifeSign(ctx)
		defer func() { before = now }()
		return w.seen(before, now)
	})
	return w
}

// watch is a wait for the guest.
type watch struct {
	wait  *heartbeat.Wait
	give  context.CancelFunc // ends a look that is under way
	knows func() string      // asked with each line; nil: nothing
	told  atomic.Pointer[string]
}

// tell says what is known by now besides what the machine shows.
func (w *watch) tell(text string) { w.told.Store(&text) }

func (w *watch) end() {
	w.give()
	w.wait.End()
}

func (w *watch) seen(before, now lifeSign) string {
	var parts []string
	if told := w.told.Load(); told != nil {
		parts = append(parts, *told)
	}
	if w.knows != nil {
		parts = append(parts, w.knows())
	}
	parts = append(parts, shows(before, now))
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}

// shows says what two looks at a machine tell of its guest; before is zero at the
// first.
func shows(before, now lifeSign) string {
	var seen []string
	if now.paused != "" {
		seen = append(seen, "the machine is paused ("+now.paused+")")
	}
	first := before.at.IsZero()
	if now.counted {
		text := fmt.Sprintf("written to its disk: %.1f MiB", float64(now.written)/(1<<20))
		if !first && before.counted && now.written == before.written {
			text += ", nothing since the last look"
		}
		seen = append(seen, text)
	}
	switch {
	case now.screen == "" || before.screen == "":
	case now.screen == before.screen:
		seen = append(seen, "its screen has not changed since the last look")
	default:
		seen = append(seen, "its screen changes")
	}
	if now.restarts > 0 {
		seen = append(seen, fmt.Sprintf("restarts: %d", now.restarts))
	}
	return strings.Join(seen, "; ")
}
