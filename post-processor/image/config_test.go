package image

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/packer-plugin-sdk/rpc"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
)

func TestOptionsCrossTheWire(t *testing.T) {
	for name, spec := range (&PostProcessor{}).ConfigSpec() {
		if _, err := rpc.ToProto(spec); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptionsAreReadFromHCL(t *testing.T) {
	file, diags := hclparse.NewParser().ParseHCL([]byte(`
format   = "vhd"
vhd_type = "dynamic"
output   = "out/{{ .BuildName }}.vhd"
compact  = true
verify {
  enabled    = true
  expect     = "audit"
  severities = { secrets = "fail", autologon = "off" }
  report     = "r.json"
}`), "t.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var p PostProcessor
	value, diags := hcldec.Decode(file.Body, p.ConfigSpec(), nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for range 2 { // Packer does it twice
		if err := p.Configure(value, map[string]any{"packer_build_name": "ws2022", "packer_builder_type": "qemu"}); err != nil {
			t.Fatal(err)
		}
	}
	c := p.config
	if c.Format != "vhd" || c.VHDType != "dynamic" || !c.Compact.True() || c.Verify.Expect != "audit" || c.Verify.Enabled != config.TriTrue ||
		c.Verify.Severities["secrets"] != "fail" || c.Verify.Severities["autologon"] != "off" || c.Verify.Report != "r.json" {
		t.Errorf("%+v", c)
	}
	if path, err := c.outputPath(nil); err != nil || path != "out/ws2022.vhd" {
		t.Errorf("output %s, %v", path, err)
	}
}

func TestConfigureReportsEveryErrorAtOnce(t *testing.T) {
	type options = map[string]any
	for _, c := range []struct {
		name string
		raw  options
		want []string
	}{
		{"nothing set", options{}, nil},
		{"a VHD", options{"format": "vhd"}, nil},
		{"a raw disk named .img", options{"format": "raw", "output": "x.img"}, nil},
		{"values that are not known yet", options{"format": "<unknown>", "vhd_type": "<unknown>", "output": "<unknown>", "verify": options{"expect": "<unknown>"}}, nil},
		{"everything wrong", options{"format": "vmdk", "vhd_type": "thin", "output": "x.vhd", "verify": options{"expect": "x", "severities": options{"nope": "x"}}},
			[]string{`format: "vmdk"`, `vhd_type: "thin"`, "verify.expect", "no assertion is called nope"}},
		{"a type that a VHD has not", options{"format": "vhd", "vhd_type": "thin"}, []string{`vhd_type: "thin"`}},
		{"options of a conversion without one", options{"output": "x.vhd", "compact": true, "vhd_type": "fixed"}, []string{"output: only valid with format", "compact: only valid with format", "vhd_type: only valid with"}},
		{"an extension that importers would pass over", options{"format": "vhd", "output": "x.VHD"}, []string{"must end in .vhd"}},
		{"a template that is none", options{"format": "vhd", "output": "{{.BuildName.vhd"}, []string{"invalid 'output'"}},
		{"nothing left to do", options{"verify": options{"enabled": false}}, []string{"nothing is left to do"}},
		{"a target that is none", options{"verify": options{"target": "gcp"}}, []string{`verify.target: "gcp" is not one of azure, hyperv, aws, openstack`}},
		{"a target that is not known yet", options{"format": "vhd", "verify": options{"target": "<unknown>"}}, nil},
		{"a format that the target does not take", options{"format": "qcow2", "verify": options{"target": "azure"}}, []string{"verify.target, format: azure takes vhd, not qcow2"}},
		{"a type that the target does not take", options{"format": "vhd", "vhd_type": "dynamic", "verify": options{"target": "azure"}}, []string{"azure takes fixed, not dynamic vhd"}},
		{"a rule of the target that is switched off", options{"format": "vhd", "verify": options{"target": "azure", "severities": options{"azure-size": "off"}}}, nil},
		{"strict about nothing", options{"verify": options{"boots_on_strict": true}},
			[]string{`verify.boots_on_strict: it refuses nothing, because verify.boots_on names no target; name the targets there, for instance boots_on = ["azure-gen2"], or remove boots_on_strict`}},
		{"strict about an empty list", options{"verify": options{"boots_on": []string{}, "boots_on_strict": true}}, []string{"verify.boots_on_strict: it refuses nothing"}},
		{"strict about targets", options{"verify": options{"boots_on": []string{"qemu-ahci"}, "boots_on_strict": true}}, nil},
		{"strict about targets that are not known yet", options{"verify": options{"boots_on": "<unknown>", "boots_on_strict": true}}, nil},
		{"a WIM", options{"format": "wim", "wim_compression": "none", "wim_name": "x", "wim_description": "y", "output": "x.wim"}, nil},
		{"options of a WIM without one", options{"format": "vhd", "wim_compression": "xpress", "wim_name": "x", "wim_description": "y"},
			[]string{"wim_compression: only valid with", "wim_name: only valid with", "wim_description: only valid with"}},
		{"options of a disk with a WIM", options{"format": "wim", "vhd_type": "fixed", "compact": true, "output": "x.vhd", "verify": options{"compare": true, "target": "azure"}, "evidence": options{}},
			[]string{"vhd_type: only valid with", "evidence: not valid", "compact: not valid", "must end in .wim", "verify.compare: not valid", "verify.target: not valid"}},
		{"a compression that there is not", options{"format": "wim", "wim_compression": "lzms"}, []string{`wim_compression: "lzms" is not one of xpress, lzx, none`}},
		{"a WIM with LZX", options{"format": "wim", "wim_compression": "lzx"}, nil},
		{"in capitals", options{"format": "wim", "wim_compression": "XPRESS"}, nil},
		{"a WIM that is not known yet", options{"format": "<unknown>", "wim_name": "x", "wim_compression": "<unknown>"}, nil},
		{"an option that does not exist", options{"formt": "vhd"}, []string{"formt"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p PostProcessor
			err := p.Configure(c.raw)
			if (err != nil) != (c.want != nil) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in %v", want, err)
				}
			}
		})
	}
}

func TestTheOutputIsRendered(t *testing.T) {
	for _, c := range []struct{ name, output, want, wrong string }{
		{"by default", "", filepath.FromSlash("output-b-image/packer-b.vhd"), ""},
		{"with the builder's values", "x/{{ .BuilderType }}-{{ .ID }}.vhd", "x/qemu-7.vhd", ""},
		{"with a variable that is missing", "{{ .Nope }}.vhd", "", "no value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p PostProcessor
			if err := p.Configure(map[string]any{"format": "vhd", "output": c.output, "packer_build_name": "b", "packer_builder_type": "qemu"}); err != nil {
				t.Fatal(err)
			}
			got, err := p.config.outputPath(map[any]any{"ID": "7"})
			if got != c.want || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%q, %v; want %q, %q", got, err, c.want, c.wrong)
			}
		})
	}
}

func TestEveryOptionIsDocumentedByItsName(t *testing.T) {
	var names []string
	for name := range (&PostProcessor{}).ConfigSpec() {
		if !strings.HasPrefix(name, "packer_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if want := []string{"backing_files", "compact", "evidence", "format", "from_artifice", "output", "report", "sbom", "verify", "vhd_type", "wim_compression", "wim_description", "wim_name"}; !slices.Equal(names, want) {
		t.Errorf("options %v, want %v", names, want)
	}
}

// TestBuildersWithoutADiskAreRefusedBeforeTheyRun: Packer removes what they made
// when this post-processor fails.
func TestBuildersWithoutADiskAreRefusedBeforeTheyRun(t *testing.T) {
	type options = map[string]any
	for kind, refused := range map[string]string{
		"qemu": "", "hyperv-iso": "", "hyperv-vmcx": "", "sysprep-vhd": "", "null": "", "file": "", "xenserver-iso": "", "": "", "something-new": "",
		"azure-arm": "an image in Azure", "azure-chroot": "Azure", "amazon-ebs": "an AMI in AWS", "amazon-instance": "AWS", "googlecompute": "Google Cloud",
		"virtualbox-iso": "", "virtualbox-ovf": "", "virtualbox-vm": "", "vmware-iso": "", "vmware-vmx": "",
		"proxmox-iso": "Proxmox", "proxmox-clone": "Proxmox", "proxmox": "Proxmox", "vsphere-iso": "a block export", "vsphere-clone": "vSphere", "parallels-iso": "qemu-img convert -f parallels",
		"openstack": "OpenStack", "oracle-oci": "Oracle", "docker": "a container",
	} {
		var p PostProcessor
		err := p.Configure(options{"format": "vhd"}, options{"packer_build_name": "b", "packer_builder_type": kind})
		if (err == nil) != (refused == "") || err != nil && (!strings.Contains(err.Error(), refused) || !strings.Contains(err.Error(), `builder "`+kind+`" leaves`)) {
			t.Errorf("%s: %v", kind, err)
		}
		if err := p.Configure(options{"format": "vhd", "from_artifice": true}, options{"packer_build_name": "b", "packer_builder_type": kind}); err != nil {
			t.Errorf("%s, from artifice: %v", kind, err)
		}
	}
}
