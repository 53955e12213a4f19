package capture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim"
)

// nowhere counts what is written.
type nowhere struct{ written *int64 }

func (n nowhere) WriteAt(p []byte, off int64) (int, error) {
	*n.written += int64(len(p))
	return len(p), nil
}
func (nowhere) Truncate(int64) error { return nil }

// sized is a source whose files may not be larger than the volume: one that was damaged
// says that a file has petabytes of nothing, which is sound and takes years.
type sized struct{ volume }

var errHuge = errors.New("a file that is far larger than the volume")

func (s sized) Root() (wim.File, error) { return smaller(s.volume.Root()) }
func (s sized) Open(reference uint64) (wim.File, error) {
	return smaller(s.volume.Open(reference))
}

func smaller(f wim.File, err error) (wim.File, error) {
	if err != nil {
		return nil, err
	}
	return limitedFile{f}, nil
}

type limitedFile struct{ wim.File }

func (f limitedFile) Stream(name string) (*io.SectionReader, error) {
	s, err := f.File.Stream(name)
	if err == nil && s.Size() > 16<<20 {
		err = errHuge
	}
	return s, err
}

// damaged captures a volume with some bytes changed, without a compression that has tests
// of its own.
func damaged(t *testing.T, image []byte) error {
	v, err := ntfs.Open(bytes.NewReader(image), 0, int64(len(image)))
	if err != nil {
		return err
	}
	var written int64
	_, err = wim.Write(context.Background(), nowhere{&written}, sized{volume{v}}, wim.Options{Compression: wim.None, Workers: 1, Exclude: wim.DefaultExclusions()})
	if written > 512<<20 {
		t.Errorf("%d MiB were written of %d", written>>20, len(image)>>20)
	}
	return err
}

func TestADamagedVolumeIsCapturedOrRefused(t *testing.T) {
	image := fixture(t)
	if err := damaged(t, image); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(18, 18))
	mft := bytes.Index(image, []byte("FILE0"))
	n, refused := testutil.Fewer(48), 0
	for range n {
		b := bytes.Clone(image)
		for range 1 + r.IntN(8) {
			b[mft+r.IntN(320<<10)] = byte(r.Uint32())
		}
		if damaged(t, b) != nil {
			refused++
		}
	}
	t.Logf("%d of %d volumes were refused", refused, n)
	if refused == 0 || refused == n {
		t.Errorf("%d of %d damaged volumes were refused", refused, n)
	}
}

// FuzzCapture changes bytes of the fixture: each four bytes of input are an offset and a
// value.
func FuzzCapture(f *testing.F) {
	image := fixture(f)
	f.Add([]byte{})
	mft := bytes.Index(image, []byte("FILE0"))
	secure := bytes.Index(image, []byte("$\x00S\x00I\x00I\x00"))
	for _, at := range []int{mft + 1024*5 + 40, mft + 1024*64 + 22, mft + 1024*70 + 52, secure + 16} {
		f.Add([]byte{byte(at), byte(at >> 8), byte(at >> 16), 1})
	}
	f.Fuzz(func(t *testing.T, patch []byte) {
		b := bytes.Clone(image)
		for n := 0; len(patch) >= 4 && n < 64; patch, n = patch[4:], n+1 {
			at := int(patch[0]) | int(patch[1])<<8 | int(patch[2])<<16
			b[at%len(b)] = patch[3]
		}
		_ = damaged(t, b)
	})
}
