// Package budget bounds the work that foreign bytes can ask for. A reader
// spends from a budget as it goes; when the budget is used up, or the context
// has ended, it stops with an error, and whatever was not read is known to be
// unread.
package budget

import (
	"context"
	"errors"
	"fmt"
)

// ErrExceeded is wrapped by the error of a budget that is used up, as opposed
// to the end of its context.
var ErrExceeded = errors.New("the rest was not read")

// Limits are how much may be read. Zero stands for no limit.
type Limits struct {
	Bytes int64
	Items int64
	// Noun and Of are what is counted, for the error: "keys and values" and
	// "hive data".
	Noun, Of string
}

// Budget counts what a reader has spent. A nil Budget has no limits. It is not
// safe for concurrent use.
type Budget struct {
	ctx          context.Context
	limits       Limits
	bytes, items int64
	calls        int
	over         error
}

// New returns a budget that also ends with ctx.
func New(ctx context.Context, limits Limits) *Budget {
	return &Budget{ctx: ctx, limits: limits}
}

// every is how many calls of Spend share one look at the context, which takes
// a lock.
const every = 64

// Spend takes bytes and items from the budget before they are read. Once it
// has returned an error it returns the same one for good.
func (b *Budget) Spend(bytes, items int64) error {
	if b == nil {
		return nil
	}
	if b.over != nil {
		return b.over
	}
	if b.calls++; b.calls%every == 1 || bytes >= 1<<16 {
		if err := b.ctx.Err(); err != nil {
			b.over = err
			return err
		}
	}
	b.bytes += bytes
	b.items += items
	switch {
	case b.limits.Items > 0 && b.items > b.limits.Items:
		b.over = fmt.Errorf("more than %d %s: %w", b.limits.Items, b.limits.Noun, ErrExceeded)
	case b.limits.Bytes > 0 && b.bytes > b.limits.Bytes:
		b.over = fmt.Errorf("more than %s of %s: %w", Size(b.limits.Bytes), b.limits.Of, ErrExceeded)
	}
	return b.over
}

// Err is the error that Spend has returned, if any.
func (b *Budget) Err() error {
	if b == nil {
		return nil
	}
	return b.over
}

// Size writes a number of bytes for a person.
func Size(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// Cut shortens a text that is to be shown or kept to about limit bytes and
// marks the place.
func Cut(s string, limit int) string { return CutFrom(s, limit, int64(len(s))) }

// CutFrom is Cut for the beginning of a text that is whole bytes long.
func CutFrom(s string, limit int, whole int64) string {
	if len(s) <= limit && int64(len(s)) >= whole {
		return s
	}
	end := min(limit, len(s))
	for end > 0 && end < len(s) && s[end]&0xc0 == 0x80 { // inside a character
		end--
	}
	return fmt.Sprintf("%s…[cut: %d bytes]", s[:end], whole)
}
