package regf_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

func smallTree(state string) *hivewrite.Key {
	root := hivewrite.NewKey("ROOT")
	root.Path(`Setup\State`).SetString("ImageState", state).SetDWord("Number", 7).SetMultiString("List", "a", "b")
	root.Path("Setup").SetBinary("Big", make([]byte, 20000))
	for i := range 600 {
		root.Path(`Many\key` + strconv.Itoa(i))
	}
	return root
}

func TestDirtyHiveShowsWhatItsLogHolds(t *testing.T) {
	hive, entry := hivewrite.BuildDirty(smallTree("IMAGE_STATE_COMPLETE"), smallTree("IMAGE_STATE_UNDEPLOYABLE"), "SOFTWARE")
	h := open(t, hive, log(nil), log(entry))
	k, err := h.Key(`Setup\State`)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := text(k, "ImageState"); err != nil || s != "IMAGE_STATE_UNDEPLOYABLE" || h.Clean() || h.Replayed() != 1 {
		t.Errorf("%q, %v, clean %v, replayed %d", s, err, h.Clean(), h.Replayed())
	}
}

// reseal makes the checksum of a base block right again, so that changes get
// further than the first check.
func reseal(b []byte) []byte {
	if len(b) < 512 {
		return b
	}
	var c uint32
	for i := 0; i < 508; i += 4 {
		c ^= binary.LittleEndian.Uint32(b[i:])
	}
	binary.LittleEndian.PutUint32(b[508:], c)
	return b
}

// FuzzHive changes the hive bins and a log behind sound base blocks, both
// without the zeros at their end.
func FuzzHive(f *testing.F) {
	small := hivewrite.NewKey("ROOT")
	small.Path("State").SetString("ImageState", "x").SetDWord("Number", 7).SetMultiString("List", "a", "b")
	hive, entry := hivewrite.BuildDirty(small, small, "")
	base, logBase := bytes.Clone(hive[:4096]), bytes.Clone(entry[:512])
	f.Add(bytes.TrimRight(hive[4096:], "\x00"), []byte(nil))
	f.Add(bytes.TrimRight(hive[4096:], "\x00"), bytes.TrimRight(entry[512:], "\x00"))
	f.Fuzz(func(t *testing.T, bins, entry []byte) {
		hive := append(bytes.Clone(base), bins...)
		hive = append(hive, make([]byte, 4096-len(bins)%4096)...)
		binary.LittleEndian.PutUint32(hive[40:], uint32(len(hive)-4096))
		if len(entry) == 0 { // clean
			copy(hive[8:], hive[4:8])
		}
		reseal(hive)
		entry = append(bytes.Clone(logBase), entry...)
		entry = append(entry, make([]byte, 512-len(entry)%512)...)
		h, err := regf.Open(bytes.NewReader(hive), int64(len(hive)), log(entry))
		if err != nil {
			return
		}
		_, _, _ = dump(h)
	})
}

// mutations is how many damaged images this package tries.
func mutations(t *testing.T, n int) int {
	if s := os.Getenv("SYSPREP_MUTATIONS"); s != "" {
		total, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return total * n / 20000
	}
	return n
}

func TestDamagedHivesNeitherPanicNorExhaustMemory(t *testing.T) {
	dirty, entry := hivewrite.BuildDirty(smallTree("a"), smallTree("b"), "")
	clean := hivewrite.Build(smallTree("c"), "")
	r := rand.New(rand.NewPCG(4, 4))
	damage := func(b []byte) []byte {
		b = bytes.Clone(b)
		for range 1 + r.IntN(24) {
			// Most of a hive is data: aim at its beginning half of the time.
			at := r.IntN(len(b))
			if r.IntN(2) == 0 {
				at = r.IntN(min(len(b), 8192))
			}
			b[at] = byte(r.Uint32())
		}
		if r.IntN(4) > 0 {
			reseal(b)
		}
		return b
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	refused := 0
	n := mutations(t, testutil.Fewer(6000))
	for i := range n {
		var h *regf.Hive
		var err error
		if i%3 == 0 {
			b := damage(dirty)
			h, err = regf.Open(bytes.NewReader(b), int64(len(b)), log(damage(entry)))
		} else {
			b := damage(clean)
			h, err = regf.Open(bytes.NewReader(b), int64(len(b)))
		}
		if err == nil {
			_, _, err = dump(h)
		}
		if err != nil {
			refused++
		}
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.Sys) - int64(before.Sys); grown > 256<<20 {
		t.Errorf("%d MiB of memory were taken", grown>>20)
	}
	t.Logf("%d hives, %d refused, %d MiB", n, refused, (after.Sys-before.Sys)>>20)
	if n >= 100 && refused < n/10 {
		t.Errorf("only %d of %d damaged hives were refused", refused, n)
	}
}
