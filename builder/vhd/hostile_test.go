package vhd

import (
	"bytes"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/packer/registry/image"
	"github.com/hashicorp/packer-plugin-sdk/rpc"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
)

// A download is go-getter's, which says the whole address at every step.
func TestADownloadTellsNoCredentials(t *testing.T) {
	t.Setenv("PACKER_CACHE_DIR", t.TempDir())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("sig") != "TopSecret" || r.Header.Get("Authorization") == "" {
			t.Errorf("asked for %s without credentials", r.URL)
		}
		if strings.Contains(r.URL.Path, "missing") {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			defer c.Close()
			_, _ = c.Write([]byte("HTTP/1.1 404 \x1b[2J##vso[x]\r\n\r\n"))
			return
		}
		_, _ = w.Write([]byte("no disk"))
	}))
	defer server.Close()
	var logged bytes.Buffer
	before := log.Writer()
	log.SetOutput(edge.Log(&logged))
	defer log.SetOutput(before)
	program, err := os.Executable() // QEMU is looked for before anything is downloaded
	if err != nil {
		t.Fatal(err)
	}
	base := strings.Replace(server.URL, "http://", "HTTP://packer:TopSecret@", 1)
	for _, c := range []struct{ path, checksum, want string }{
		{"/missing.vhd?sig=TopSecret&X-Amz-Signature=TopSecret", "none", "404"},
		{"/disk.vhd?sig=TopSecret", "sha256:" + strings.Repeat("0", 64), "next: compare source_checksum"},
		{"/disk.vhd?sig=TopSecret", "none", "source disk"},
		{"/disk.vhd?sig=TopSecret", "file:" + base + "/missing?sig=TopSecret", "404"},
	} {
		options := valid(t, map[string]any{"source_path": nil, "source_url": base + c.path, "source_checksum": c.checksum, "qemu_binary": program, "output_directory": filepath.Join(t.TempDir(), "out")})
		client := foreigntest.Plugin(t, func(s *rpc.PluginServer) error { return s.RegisterBuilder(new(Builder)) })
		b := client.Builder()
		if _, _, err := b.Prepare(options); err != nil {
			t.Fatal(err)
		}
		screen := foreigntest.NewScreen()
		_, err := b.Run(t.Context(), screen, &packersdk.MockHook{})
		if err == nil {
			t.Fatalf("%s: no error", c.path)
		}
		for what, text := range map[string]string{"screen": screen.String(), "error": err.Error()} {
			if harm := foreigntest.Harm(text); harm != "" {
				t.Errorf("%s: the %s shows %s\n%s", c.path, what, harm, text)
			}
		}
		if !strings.Contains(screen.String()+err.Error(), c.want) || !strings.Contains(screen.String(), "Trying HTTP://***@") {
			t.Errorf("%s: %q is missing in\n%s%v", c.path, c.want, screen, err)
		}
	}
	if !strings.Contains(logged.String(), "Acquiring lock") || strings.Contains(logged.String(), "TopSecret") {
		t.Errorf("the log is\n%s", logged.String())
	}
}

func TestOptionsTellNoCredentials(t *testing.T) {
	for option, want := range map[string]string{
		"source_path": "set source_url", "source_checksum": "is not a checksum", "efi_firmware_code": "download the file", "source_url": "",
	} {
		options := valid(t, map[string]any{option: "HTTPS://u:TopSecret@host/" + strings.NewReplacer(" ", "", "\x00", "").Replace(foreigntest.Hostile) + "?sig=TopSecret"})
		if option == "source_checksum" {
			options["source_path"], options["source_url"] = nil, "https://host/x.vhd"
		}
		_, _, err := new(Builder).Prepare(options)
		if err == nil || !strings.Contains(err.Error(), want) || foreigntest.Harm(err.Error()) != "" {
			t.Errorf("%s: %s\n%v", option, foreigntest.Harm(err.Error()), err)
		}
	}
}

func TestMetadataHasNoCredentials(t *testing.T) {
	b := newBench(t, nil)
	b.run.config.SourceURL = "HTTPS://u:TopSecret@host/x.vhd?sig=TopSecret"
	metadata, _ := newArtifact(b.run, nil).State(image.ArtifactStateURI).(*image.Image)
	if metadata == nil || metadata.SourceImageID != "HTTPS://***@host/x.vhd?***" {
		t.Errorf("metadata %+v", metadata)
	}
}
