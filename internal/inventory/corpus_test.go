package inventory

import (
	"compress/gzip"
	"context"
	"io"
	"os"
	"testing"
	"testing/fstest"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// corpusHive is a hive of the corpus, unpacked.
func corpusHive(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(testutil.Corpus(t, "hives", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const config = "Windows/System32/config/"

func TestRealWindows7(t *testing.T) {
	inv, err := ReadDrive(context.Background(), fstest.MapFS{
		config + "SOFTWARE": {Data: corpusHive(t, "plaso-SOFTWARE-win7-x86")},
		config + "SYSTEM":   {Data: corpusHive(t, "plaso-SYSTEM-win7")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", inv.OS)
	t.Logf("%s", inv.Written)
	for _, s := range inv.Sources {
		t.Logf("%+v", s)
	}
	t.Logf("%+v", inv.Frameworks)
	t.Logf("%+v", inv.Services)
}
