package sysprep

import (
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/cloudagent"
)

func TestWhatAnAgentDoesNotTakeIsRefused(t *testing.T) {
	const v2 = `not used with agent = "ec2launch-v2"`
	block := map[string]any{"time_zone": "UTC"}
	for name, test := range map[string]struct {
		options map[string]any
		want    []string
	}{
		"an agent that nobody knows": {map[string]any{"agent": "ec2config"}, []string{`agent: "ec2config" is not one of none, auto, ec2launch-v2, ec2launch, gcesysprep, cloudbase-init`}},
		"answer files": {map[string]any{"agent": "ec2launch-v2", "answer_file_content": testAnswer, "unattend": block}, []string{
			`answer_file_content: ` + v2 + `: ec2launch-v2 gives sysprep an answer file of its own, C:\ProgramData\Amazon\EC2Launch\sysprep\unattend.xml, and takes no other; change that file in an earlier provisioner, or set agent = "none"`,
			`unattend: ` + v2}},
		"an answer file of the guest": {map[string]any{"agent": "cloudbase-init", "answer_file_in_guest": `C:\a.xml`}, []string{
			`answer_file_in_guest: not used with agent = "cloudbase-init": cloudbase-init gives sysprep an answer file of its own`}},
		"an answer file with any agent": {map[string]any{"agent": "auto", "answer_file_content": testAnswer}, []string{
			`answer_file_content: not used with agent = "auto": an agent gives sysprep an answer file of its own; set agent = "none" to use this one`}},
		"sysprep's own arguments": {map[string]any{"agent": "gcesysprep", "vm_mode": true, "quiet": false, "extra_arguments": []string{"/x"}, "through_audit": true}, []string{
			`through_audit: not used`,
			`vm_mode: not used with agent = "gcesysprep", which gives sysprep arguments of its own; remove it, or set agent = "none"`, `extra_arguments: not used`, `quiet: not used`}},
		"not generalized":          {map[string]any{"agent": "ec2launch", "generalize": false, "mode": "audit"}, []string{`generalize: agents always generalize`, `mode: agents always generalize`}},
		"the cached answer file":   {map[string]any{"agent": "cloudbase-init", "delete_cached_answer_file": true}, []string{`delete_cached_answer_file: agents write SetupComplete.cmd themselves`}},
		"a restart":                {map[string]any{"agent": "ec2launch-v2", "action": "reboot"}, []string{`action: "reboot" is nothing that agent = "ec2launch-v2" can end with; use "quit" or "shutdown"`}},
		"a restart that one knows": {map[string]any{"agent": "cloudbase-init", "action": "reboot"}, nil},
		"a command and an agent":   {map[string]any{"agent": "auto", "command": "x"}, []string{`command and agent are both set; keep one of them`}},
		"lines":                    {map[string]any{"command": "a\r\nb"}, []string{`command: it has more than one line`}},
		"a long line":              {map[string]any{"command": strings.Repeat("a", 8001)}, []string{`command: it has 8001 characters`}},
		"a command and answers": {map[string]any{"command": "x", "answer_file_content": testAnswer, "vm_mode": true}, []string{
			`answer_file_content: not used with command: the command starts sysprep with arguments of its own; name the answer file there`, `vm_mode: not used with command, which gives sysprep arguments of its own; put it on that command line`}},
		"a command that reseals": {map[string]any{"command": "x", "generalize": false, "mode": "audit", "action": "reboot", "delete_cached_answer_file": true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode(t, test.options)
			if len(test.want) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, test.want...)
			if n := strings.Count(err.Error(), "* "); n > 1 && n != len(test.want) || n <= 1 && len(test.want) != 1 {
				t.Errorf("%d errors: %v", n, err)
			}
		})
	}
}

// The agents' lines are for cmd.exe, and name the folders of the guest.
func TestEveryAgentCanQuitAndPowerOff(t *testing.T) {
	for _, a := range cloudagent.All() {
		quit, off, again := a.Lines(cloudagent.Quit), a.Lines(cloudagent.Shutdown), a.Lines(cloudagent.Reboot)
		if quit == nil || off == nil || slices.Equal(quit, off) || (again != nil) != a.Reboots {
			t.Errorf("%s: %q, %q, %q", a.Name, quit, off, again)
		}
		if a.Source == "" || !strings.HasPrefix(a.Program, `\`) || !strings.HasPrefix(a.AnswerFile, `\`) {
			t.Errorf("%s is incomplete", a.Name)
		}
	}
}
