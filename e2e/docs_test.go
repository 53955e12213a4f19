//go:build e2e

package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// hclBlock is a block of HCL in a page.
type hclBlock struct{ where, text string }

// documented are the blocks of HCL in all pages.
func documented(t *testing.T) (blocks []hclBlock) {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^( *)```hcl\n(.*?)^ *```")
	add := func(path string) {
		text, err := os.ReadFile(filepath.Join(testutil.Root(), path))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllSubmatchIndex(text, -1) {
			line := strings.Count(string(text[:m[0]]), "\n") + 1
			indent := string(text[m[2]:m[3]])
			block := strings.TrimPrefix(strings.ReplaceAll("\n"+string(text[m[4]:m[5]]), "\n"+indent, "\n"), "\n")
			blocks = append(blocks, hclBlock{fmt.Sprintf("%s:%d", path, line), block})
		}
	}
	add("README.md")
	add("example/README.md")
	err := fs.WalkDir(os.DirFS(filepath.Join(testutil.Root(), "docs")), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (strings.HasSuffix(name, ".md") || strings.HasSuffix(name, ".mdx")) {
			add("docs/" + name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

const anySource = `source "null" "any" {
  communicator   = "winrm"
  winrm_host     = "192.0.2.1"
  winrm_username = "a"
  winrm_password = "b"
}
`

// asTemplate makes a template of a block that may be a part of one. Sources of
// builders whose plugins are not at hand are replaced: they are theirs to judge, and
// the examples show them whole.
func asTemplate(text string) (string, error) {
	file, diags := hclsyntax.ParseConfig([]byte(text), "block", hcl.InitialPos)
	if diags.HasErrors() {
		return "", diags
	}
	cut := func(b *hclsyntax.Block) string {
		r := b.Range()
		return text[r.Start.Byte:b.CloseBraceRange.End.Byte] + "\n"
	}
	var top, inBuild, inSource, inProvisioner, inUnattend strings.Builder
	var sources []string
	built := false
	for _, b := range file.Body.(*hclsyntax.Body).Blocks {
		switch b.Type {
		case "packer":
			if !strings.Contains(cut(b), `source  = "`+pluginSource+`"`) {
				return "", fmt.Errorf("required_plugins does not name this plugin")
			}
		case "source":
			if b.Labels[0] != "sysprep-vhd" {
				continue
			}
			sources = append(sources, "source."+strings.Join(b.Labels, "."))
			top.WriteString(cut(b))
		case "variable", "locals", "local", "data":
			top.WriteString(cut(b))
		case "build":
			built = true
			top.WriteString(cut(b))
		case "provisioner", "post-processor", "post-processors":
			inBuild.WriteString(cut(b))
		case "report", "preflight", "winrm", "unattend", "lint":
			inProvisioner.WriteString(cut(b))
		case "evidence", "verify", "boot_test":
			inSource.WriteString(cut(b))
		case "component":
			inUnattend.WriteString(cut(b))
		default:
			return "", fmt.Errorf("a block of type %s at the top: the test does not know where it belongs", b.Type)
		}
	}
	if attributes := file.Body.(*hclsyntax.Body).Attributes; len(attributes) > 0 {
		return "", fmt.Errorf("arguments outside of a block")
	}
	if inUnattend.Len() > 0 {
		inProvisioner.WriteString("unattend {\n" + inUnattend.String() + "}\n")
	}
	if inProvisioner.Len() > 0 {
		inBuild.WriteString("provisioner \"sysprep\" {\n" + inProvisioner.String() + "}\n")
	}
	if inSource.Len() > 0 {
		sources = append(sources, "source.sysprep-vhd.any")
		top.WriteString("source \"sysprep-vhd\" \"any\" {\n  source_path = \"server2022.vhdx\"\n  winrm_username = \"a\"\n  winrm_password = \"b\"\n" + inSource.String() + "}\n")
	}
	if !built {
		if len(sources) == 0 {
			sources = []string{"source.null.any"}
		}
		top.WriteString("build {\n  sources = [\"" + strings.Join(sources, `", "`) + "\"]\n" + inBuild.String() + "}\n")
	}
	template := top.String()
	template = regexp.MustCompile(`"source\.([\w-]+)\.\w+"`).ReplaceAllStringFunc(template, func(name string) string {
		if strings.HasPrefix(name, `"source.sysprep-vhd.`) {
			return name
		}
		return `"source.null.any"`
	})
	if strings.Contains(template, "source.null.any") {
		template = anySource + template
	}
	if name := "source.sysprep-vhd.server"; strings.Contains(template, name) && !strings.Contains(template, `source "sysprep-vhd" "server"`) {
		template = "source \"sysprep-vhd\" \"server\" {\n  source_path = \"server2022.vhdx\"\n  winrm_username = \"a\"\n  winrm_password = \"b\"\n}\n" + template
	}
	var declared []string
	for _, m := range regexp.MustCompile(`var\.(\w+)`).FindAllStringSubmatch(template, -1) {
		if !strings.Contains(template, `variable "`+m[1]+`"`) && !slices.Contains(declared, m[1]) {
			declared = append(declared, m[1])
			template = "variable \"" + m[1] + "\" {\n  type      = string\n  sensitive = true\n}\n" + template
		}
	}
	return template, nil
}

// Packer takes each block of HCL that the pages show.
func TestEveryBlockOfTheDocumentsIsValid(t *testing.T) {
	t.Parallel()
	blocks := documented(t)
	if len(blocks) < 20 {
		t.Fatalf("%d blocks were found", len(blocks))
	}
	plugins, err := pluginPath()
	if err != nil {
		t.Fatal(err)
	}
	key := privateKey(t)
	for _, block := range blocks {
		t.Run(block.where, func(t *testing.T) {
			t.Parallel()
			template, err := asTemplate(block.text)
			if err != nil {
				t.Fatal(err)
			}
			dir := folder(t, "server2022.vhd", "server2022.vhdx", "server2022.qcow2", "windows.iso", "install.ps1", "guest-ca.pem")
			for _, sub := range []string{"overlays", "packer_cache", "build", "keys"} {
				if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for name, content := range map[string]string{"overlays/server2022.qcow2": "stands for a disk", "build/guest-bios.vhd": "stands for a disk", "unattend.xml": "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\"/>", "keys/images.pem": string(key)} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			validate(t, dir, plugins, template)
		})
	}
}

// A block that Packer refuses, and one that cannot be placed, fail.
func TestABlockThatIsWrongIsSeen(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"provisioner \"sysprep\" {\n  actoin = \"quit\"\n}\n": "",
		"colour {}\n": "does not know where it belongs",
		"a = 1\n":     "arguments outside",
		"packer {}\n": "does not name this plugin",
		"source {\n":  "Unclosed",
	} {
		template, err := asTemplate(text)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		dir := folder(t)
		path := filepath.Join(dir, "t.pkr.hcl")
		if err := os.WriteFile(path, []byte(template), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, _, code := runPacker(t, dir, nil, "validate", path); code == 0 || !strings.Contains(out, "actoin") {
			t.Errorf("exit code %d:\n%s", code, out)
		}
	}
}
