package budget

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestABudgetEndsOnceAndForGood(t *testing.T) {
	b := New(t.Context(), Limits{Bytes: 2 << 20, Items: 10, Noun: "values", Of: "hive data"})
	for range 10 {
		if err := b.Spend(1, 1); err != nil {
			t.Fatal(err)
		}
	}
	err := b.Spend(0, 1)
	if !errors.Is(err, ErrExceeded) || err.Error() != "more than 10 values: the rest was not read" {
		t.Errorf("error %v", err)
	}
	if again := b.Spend(0, 0); again == nil || b.Err() != again {
		t.Errorf("after its end the budget says %v", again)
	}
	b = New(t.Context(), Limits{Bytes: 2 << 20, Of: "hive data"})
	if err := b.Spend(2<<20+1, 1); err == nil || err.Error() != "more than 2 MiB of hive data: the rest was not read" {
		t.Errorf("error %v", err)
	}
}

func TestABudgetEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := New(ctx, Limits{})
	if err := b.Spend(1, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	calls := 0
	for ; b.Spend(1, 1) == nil; calls++ {
		if calls > every {
			t.Fatal("the context is not looked at")
		}
	}
	if err := b.Err(); !errors.Is(err, context.Canceled) || errors.Is(err, ErrExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestNoBudgetIsNoLimit(t *testing.T) {
	var b *Budget
	if err := b.Spend(1<<62, 1<<62); err != nil || b.Err() != nil {
		t.Error(err)
	}
}

func TestACutIsMarkedAndSplitsNoCharacter(t *testing.T) {
	if got := Cut("short", 5); got != "short" {
		t.Errorf("%q", got)
	}
	got := Cut(strings.Repeat("ä", 10), 5)
	if !utf8.ValidString(got) || got != "ää…[cut: 20 bytes]" {
		t.Errorf("%q", got)
	}
	if got := CutFrom("ab", 5, 9000); got != "ab…[cut: 9000 bytes]" {
		t.Errorf("%q", got)
	}
}
