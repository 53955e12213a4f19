package sysprep

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

func TestThePlanFollowsFromTheOptions(t *testing.T) {
	const answer = `/unattend:C:\Windows\System32\Sysprep\packer-unattend-id\unattend.xml`
	for _, test := range []struct {
		name      string
		options   map[string]any
		builder   string
		arguments string
		state     windows.State
		end       verdict.End
		warnings  []string
	}{
		{"nothing given, our builder", nil, "sysprep-vhd", "/generalize /oobe /shutdown /quiet", windows.StateGeneralizeToOOBE, verdict.Shutdown, nil},
		{"nothing given, the null builder", nil, "null", "/generalize /oobe /quit /quiet", windows.StateGeneralizeToOOBE, verdict.Quit, nil},
		{"an answer file goes to a place without blanks", map[string]any{"answer_file_content": testAnswer}, "null",
			"/generalize /oobe /quit /quiet " + answer, windows.StateGeneralizeToOOBE, verdict.Quit, nil},
		{"audit mode", map[string]any{"mode": "audit"}, "null", "/generalize /audit /quit /quiet", windows.StateGeneralizeToAudit, verdict.Quit, nil},
		{"resealing to OOBE only", map[string]any{"generalize": false}, "null", "/oobe /quit /quiet", windows.StateSpecializeToOOBE, verdict.Quit, []string{"keeps the identity"}},
		{"resealing to audit mode only", map[string]any{"generalize": false, "mode": "audit", "action": "reboot"}, "null",
			"/audit /reboot /quiet", windows.StateSpecializeToAudit, verdict.Reboot, nil},
		{"audit mode is entered by a restart", map[string]any{"generalize": false, "mode": "audit"}, "qemu",
			"/audit /reboot /quiet", windows.StateSpecializeToAudit, verdict.Reboot, nil},
		{"resealing to audit mode, and staying up", map[string]any{"generalize": false, "mode": "audit", "action": "quit"}, "null",
			"/audit /quit /quiet", windows.StateSpecializeToAudit, verdict.Quit, []string{"keeps the identity"}},
		{"lines before the power-off", map[string]any{"action": "shutdown", "before_shutdown": []string{"ver"}}, "vsphere-iso",
			"/generalize /oobe /quit /quiet", windows.StateGeneralizeToOOBE, verdict.Quit, nil},
		{"lines with quit", map[string]any{"before_shutdown": []string{"ver"}}, "azure-arm", "/generalize /oobe /quit /quiet", windows.StateGeneralizeToOOBE, verdict.Quit, nil},
		{"vm mode with an answer file", map[string]any{"vm_mode": true, "answer_file_content": testAnswer}, "azure-arm",
			"/generalize /oobe /mode:vm /quit /quiet " + answer, windows.StateGeneralizeToOOBE, verdict.Quit, []string{"same hardware profile", "Microsoft documents it"}},
		{"not quiet", map[string]any{"quiet": false}, "null", "/generalize /oobe /quit", windows.StateGeneralizeToOOBE, verdict.Quit, []string{"nobody will see it"}},
		{"as SYSTEM", map[string]any{"run_as": "system"}, "null", "/generalize /oobe /quit /quiet", windows.StateGeneralizeToOOBE, verdict.Quit,
			[]string{"Microsoft does not support"}},
		{"further arguments come last", map[string]any{"extra_arguments": []string{"/x", "-y:z"}}, "null",
			"/generalize /oobe /quit /quiet /x -y:z", windows.StateGeneralizeToOOBE, verdict.Quit, nil},
		{"a restart after generalize", map[string]any{"action": "reboot"}, "null", "/generalize /oobe /reboot /quiet", windows.StateGeneralizeToOOBE, verdict.Reboot,
			[]string{"not generalized any more"}},
		{"qemu has to shut down", nil, "qemu", "/generalize /oobe /quit /quiet", windows.StateGeneralizeToOOBE, verdict.Quit, []string{"shutdown_command"}},
		{"qemu with a guest that is off", map[string]any{"action": "shutdown"}, "qemu", "/generalize /oobe /shutdown /quiet", windows.StateGeneralizeToOOBE, verdict.Shutdown,
			[]string{"must have no shutdown_command"}},
		{"a builder that nobody knows, with a guest that is off", map[string]any{"action": "shutdown"}, "something", "/generalize /oobe /shutdown /quiet", windows.StateGeneralizeToOOBE, verdict.Shutdown,
			[]string{"not known to accept"}},
		{"a builder that nobody knows", nil, "something", "/generalize /oobe /quit /quiet", windows.StateGeneralizeToOOBE, verdict.Quit, nil},
		{"hyperv", nil, "hyperv-vmcx", "/generalize /oobe /quit /quiet", windows.StateGeneralizeToOOBE, verdict.Quit, []string{"shutdown_command"}},
		{"hyperv with a guest that is off", map[string]any{"action": "shutdown"}, "hyperv-iso", "/generalize /oobe /shutdown /quiet", windows.StateGeneralizeToOOBE, verdict.Shutdown,
			[]string{"disable_shutdown = true, or no shutdown_command"}},
		{"vsphere asks whether it is off", map[string]any{"action": "shutdown"}, "vsphere-clone", "/generalize /oobe /shutdown /quiet", windows.StateGeneralizeToOOBE, verdict.Shutdown, nil},
		{"azure-dtl would run sysprep itself", nil, "azure-dtl", "/generalize /oobe /quit /quiet", windows.StateGeneralizeToOOBE, verdict.Quit, []string{"skip_sysprep = true"}},
		{"the bare type of proxmox", nil, "proxmox", "/generalize /oobe /quit /quiet", windows.StateGeneralizeToOOBE, verdict.Quit, nil},
		{"our builder, told to quit", map[string]any{"action": "quit"}, "sysprep-vhd", "/generalize /oobe /quit /quiet", windows.StateGeneralizeToOOBE, verdict.Quit,
			[]string{"waits for its power-off"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := map[string]any{"packer_builder_type": test.builder}
			for k, v := range test.options {
				options[k] = v
			}
			c, err := decode(t, options)
			if err != nil {
				t.Fatal(err)
			}
			p := c.plan(`C:\Windows`, "id")
			if p.Arguments != test.arguments || p.Expect.ImageState != test.state || p.Expect.End != test.end {
				t.Errorf("got %q, %s, %v", p.Arguments, p.Expect.ImageState, p.Expect.End)
			}
			if p.Expect.Generalize != strings.Contains(test.arguments, "/generalize") {
				t.Errorf("generalize is expected: %v", p.Expect.Generalize)
			}
			if len(p.Warnings) != len(test.warnings) {
				t.Fatalf("warnings: %q", p.Warnings)
			}
			for i, w := range test.warnings {
				if !strings.Contains(p.Warnings[i], w) {
					t.Errorf("warning %q does not say %q", p.Warnings[i], w)
				}
			}
		})
	}
}

// A guest that is up can be shut down by every builder; one that is off is lost
// with most, and real templates set a shutdown_command.
func TestAutoQuitsForEveryBuilderButOurOwn(t *testing.T) {
	for _, name := range []string{"hyperv-iso", "hyperv-vmcx", "vsphere-iso", "vsphere-clone", "azure-arm", "azure-dtl", "azure-chroot", "amazon-ebs", "googlecompute", "qemu", "virtualbox-iso",
		"virtualbox-ovf", "proxmox", "proxmox-iso", "proxmox-clone", "vmware-iso", "vmware-vmx", "parallels-iso", "openstack", "nutanix", "null", "something-else", "", ownBuilder} {
		want := actionQuit
		if name == ownBuilder {
			want = actionShutdown
		}
		c := Config{}
		c.PackerBuilderType = name
		if got, why := c.autoAction(); got != want || why == "" {
			t.Errorf("%s: %s (%s), want %s", name, got, why, want)
		}
		c.Mode, c.Generalize = modeAudit, config.TriFalse
		if got, why := c.autoAction(); got != actionReboot || !strings.Contains(why, "audit mode") {
			t.Errorf("%s, to audit mode: %s (%s)", name, got, why)
		}
		if b, known := handover(name); known != (name != "" && name != "something-else") || known && !strings.HasPrefix(name, b.prefix) {
			t.Errorf("%s: %v, %+v", name, known, b)
		}
	}
}

func TestThePlanCarriesTheTimes(t *testing.T) {
	c, err := decode(t, map[string]any{"generalize_timeout": "7m", "stall_timeout": "2m", "shutdown_timeout": "20s"})
	if err != nil {
		t.Fatal(err)
	}
	e := c.plan(`D:\Win`, "id").Expect
	if e.Timeout != 7*time.Minute || e.Stall != 2*time.Minute || e.LostAfter != 2*time.Minute || e.EndWithin != 20*time.Second || e.ClosedFor != 5*time.Second || e.SecondLook != 20*time.Second || e.AskWithin != 40*time.Second {
		t.Errorf("got %+v", e)
	}
}

// Our own builder waits for the machine itself; any other has the port alone.
func TestOnlyOtherBuildersTakeASecondLook(t *testing.T) {
	for builder, want := range map[string]time.Duration{"null": 3 * time.Minute, "hyperv-iso": 3 * time.Minute, ownBuilder: 5 * time.Second} {
		c, err := decode(t, map[string]any{"packer_builder_type": builder})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.plan(`C:\Windows`, "id").Expect.SecondLook; got != want {
			t.Errorf("%s: %s, want %s", builder, got, want)
		}
	}
}

// The provisioner cannot make the sysprep of a command quit.
func TestLinesAfterACommandNeedASysprepThatQuits(t *testing.T) {
	for action, said := range map[string]bool{"shutdown": true, "reboot": true, "quit": false} {
		c, err := decode(t, map[string]any{"action": action, "command": "x.cmd", "before_shutdown": []string{"ver"}})
		if err != nil {
			t.Fatal(err)
		}
		p := c.plan(`C:\Windows`, "id")
		if text := strings.Join(p.Warnings, "\n"); strings.Contains(text, "has to end with /quit; this provisioner asks Windows for the "+action) != said || p.Expect.End != verdict.Quit {
			t.Errorf("%s: %q, end %v", action, text, p.Expect.End)
		}
	}
}
