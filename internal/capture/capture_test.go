package capture

import (
	"compress/gzip"
	"context"
	"io"
	"os"
	"testing"
	"bytes"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim"
)

func TestX(t *testing.T) {
	f, err := os.Open("testdata/volume.raw.gz")
	if err != nil { t.Fatal(err) }
	z, err := gzip.NewReader(f)
	if err != nil { t.Fatal(err) }
	b, err := io.ReadAll(z)
	if err != nil { t.Fatal(err) }
	for _, c := range []wim.Compression{wim.None, wim.XPRESS} {
	v, err := ntfs.Open(bytes.NewReader(b), 0, int64(len(b)))
	if err != nil { t.Fatal(err) }
	out, err := os.Create("/tmp/wim/ours-"+string(c)+".wim")
	if err != nil { t.Fatal(err) }
	r, err := wim.Write(context.Background(), out, volume{v}, wim.Options{Compression: c, Exclude: wim.DefaultExclusions()})
	out.Close()
	t.Logf("%+v %v", r, err)
	if err != nil { t.Fatal(err) }
	}
}
