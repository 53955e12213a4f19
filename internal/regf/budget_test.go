package regf_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
)

// wideHive has keys with many values and subkeys, one text of a megabyte among
// them.
func wideHive() []byte {
	root := hivewrite.NewKey("ROOT")
	k := root.Path(`A\B`)
	for i := range 3000 {
		k.SetDWord(fmt.Sprintf("value %d", i), uint32(i))
		root.Path(fmt.Sprintf(`Keys\key %d`, i))
	}
	k.SetString("long", strings.Repeat("x", 1<<20)).SetString("short", strings.Repeat("y", 30))
	return hivewrite.Build(root, "TEST")
}

func within(ctx context.Context, bytes, items int64) *budget.Budget {
	return budget.New(ctx, budget.Limits{Bytes: bytes, Items: items, Of: "hive data", Noun: "keys and values"})
}

func TestAHiveIsReadWithinItsBudget(t *testing.T) {
	b := wideHive()
	for _, c := range []struct {
		name  string
		limit *budget.Budget
		want  string
		read  func(h *regf.Hive) error
	}{
		{"a value behind thousands of others", within(t.Context(), 0, 1000), "more than 1000 keys and values", func(h *regf.Hive) error {
			k, err := h.Key(`A\B`)
			if err == nil {
				_, err = k.Value("short")
			}
			return err
		}},
		{"a key among thousands", within(t.Context(), 0, 1000), "more than 1000 keys and values", func(h *regf.Hive) error {
			k, err := h.Key("Keys")
			if err == nil {
				_, err = k.Subkeys()
			}
			return err
		}},
		{"a text of a megabyte", within(t.Context(), 256<<10, 0), "more than 256 KiB of hive data", func(h *regf.Hive) error {
			k, err := h.Key(`A\B`)
			if err == nil {
				_, err = text(k, "long")
			}
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := regf.OpenWithin(c.limit, bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			err = c.read(h)
			if !errors.Is(err, budget.ErrExceeded) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v", err)
			}
			if again := c.read(h); !errors.Is(again, budget.ErrExceeded) {
				t.Errorf("reading goes on: %v", again)
			}
			whole, err := regf.Open(bytes.NewReader(b), int64(len(b)))
			if err == nil {
				err = c.read(whole)
			}
			if err != nil {
				t.Errorf("without a budget: %v", err)
			}
		})
	}
}

func TestAHiveIsReadNoFurtherOnceItsContextHasEnded(t *testing.T) {
	b := wideHive()
	ctx, cancel := context.WithCancel(t.Context())
	h, err := regf.OpenWithin(within(ctx, 0, 0), bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	k, err := h.Key(`A\B`)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := k.Values(); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A text that is only shown is read to the part that is.
func TestALongTextIsCutAndNotReadToItsEnd(t *testing.T) {
	b := wideHive()
	limit := within(t.Context(), 512<<10, 0)
	h, err := regf.OpenWithin(limit, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"long": strings.Repeat("x", 512) + fmt.Sprintf("…[cut: %d bytes]", 2<<20+2), "short": strings.Repeat("y", 30),
	} {
		k, err := h.Key(`A\B`)
		if err != nil {
			t.Fatal(err)
		}
		v, err := k.Value(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.Text(1024); err != nil || got != want {
			t.Errorf("%s: %d bytes, %.60s..., %v", name, len(got), got, err)
		}
	}
}
