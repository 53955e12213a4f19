package winsim

import (
	"testing"
	"time"
)

func TestWrongPasswordsLockAnAccount(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	g, err := New(Options{Root: t.TempDir(), User: "packer", Password: "right", Clock: &Clock{now, 1, func() time.Time { return now }},
		Scenario: Scenario{Lockout: Lockout{After: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	try := func(right bool) bool {
		now = now.Add(time.Minute)
		return g.LetsIn(`WIN-GUEST\Packer`, right)
	}
	for i, step := range []struct {
		right  bool
		after  time.Duration
		want   bool
		locked bool
	}{
		{true, 0, true, false}, {false, 0, false, false}, {false, 0, false, false},
		{true, 0, true, false}, // forgets them
		{false, 0, false, false}, {false, 0, false, false},
		{false, 10 * time.Minute, false, false}, // so does time
		{false, 0, false, false}, {false, 0, false, true},
		{true, 0, false, true},
		{true, 10 * time.Minute, true, false},
	} {
		now = now.Add(step.after)
		if got := try(step.right); got != step.want {
			t.Errorf("try %d: %v", i, got)
		}
		if _, locked := g.Wrong("packer"); locked != step.locked {
			t.Errorf("try %d: locked %v", i, locked)
		}
	}
	if n, _ := g.Wrong("packer"); n != 7 {
		t.Errorf("%d wrong passwords", n)
	}
	g.ChangePasswords(true)
	if try(true) {
		t.Error("the old password is right")
	}
	for _, bad := range []Lockout{{After: -1}, {Within: 1}} {
		if (Scenario{Lockout: bad}).check() == nil {
			t.Errorf("%+v passes", bad)
		}
	}
}
