//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config,WinRM,Preflight,WaitFor
//go:generate go tool packer-sdc struct-markdown

package sysprep

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/common"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/hashicorp/packer-plugin-sdk/template/interpolate"
	"github.com/zclconf/go-cty/cty"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/option"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/block"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

// Config holds the options of the provisioner. Without any it generalizes the
// guest for its first boot (OOBE) and ends as suits the builder.
type Config struct {
	common.PackerConfig `mapstructure:",squash"`

	// Run `sysprep /generalize`. Defaults to `true`. With `false` Windows is
	// only resealed (to OOBE or audit mode) and keeps its identity; such an
	// image must not be deployed more than once.
	Generalize config.Trilean `mapstructure:"generalize"`
	// What Windows starts into next: `oobe` (default) or `audit`. With `audit` and
	// a restart the provisioner waits until the guest is back in audit mode, up to
	// `reboot_timeout`, so that other provisioners can go on there.
	Mode string `mapstructure:"mode"`
	// Go through audit mode first: run `sysprep /audit /reboot`, wait until the
	// guest is back in audit mode, up to `reboot_timeout`, and generalize it from
	// there. Microsoft makes images in audit mode. Not needed where the guest is in
	// audit mode already. Defaults to `false`.
	ThroughAudit bool `mapstructure:"through_audit"`
	// Pass `/mode:vm`: the image is deployed on the same hypervisor with the
	// same hardware profile, and its first boot is faster because devices are
	// not detected again. Needs `generalize` and `mode = "oobe"`, and works
	// inside a virtual machine only. Defaults to `false`. Microsoft documents
	// it without `/quiet` and `/unattend`; in practice they work together.
	VMMode bool `mapstructure:"vm_mode"`
	// What happens when sysprep is done: `quit` leaves Windows running,
	// `shutdown` powers it off and waits until it is gone, `reboot` restarts it.
	// `auto` (default) is `shutdown` with the builder sysprep-vhd and `quit` with
	// every other one; with `mode = "audit"` and `generalize = false` it is
	// `reboot`. After `quit` the builder has to shut Windows down properly, e.g.
	// with `shutdown_command = "shutdown /s /t 5 /f"`; with `shutdown` it must not
	// have a `shutdown_command`, or needs `disable_shutdown = true`. See
	// [what to write for each builder](#how-it-ends-action). On failure Windows
	// stays up.
	Action string `mapstructure:"action"`
	// What runs sysprep: `none` (default) is the provisioner itself. `ec2launch-v2`,
	// `ec2launch`, `gcesysprep` and `cloudbase-init` are agents of clouds that bring
	// a sysprep of their own, with their own answer file: the agent is started, and
	// its sysprep is watched and judged like any other. `auto` takes the agent that is
	// in the guest, in this order, and `none` where there is none. None of them was
	// run on a cloud. See [agents](#agents-that-bring-their-own-sysprep).
	Agent string `mapstructure:"agent"`
	// A line for `cmd.exe`, as in a batch file, that starts sysprep. The
	// provisioner runs it, and watches and judges the sysprep that it starts:
	// `generalize`, `mode` and `action` say what is expected of that.
	Command string `mapstructure:"command"`
	// Path on the host of the answer file (unattend.xml) that the image's first
	// boot uses. It is checked before anything runs, uploaded to a folder in
	// `System32\Sysprep` that only administrators can read, given to sysprep
	// with `/unattend`, and then removed from there. Windows keeps a copy of its
	// own, with the passwords of passes that have not run yet, in
	// `\Windows\Panther\unattend.xml`. A regular file of at most 4 MiB.
	AnswerFile string `mapstructure:"answer_file"`
	// The answer file as text, e.g. from `templatefile()`, instead of
	// `answer_file`. Packer's own `{{ }}` templates are not expanded in it.
	AnswerFileContent string `mapstructure:"answer_file_content"`
	// Path in the guest of an answer file that is there already, such as the one
	// that cloudbase-init or EC2Launch brings, instead of `answer_file`. It may
	// begin with a variable of the guest's environment, and the name of the file
	// may have wildcards, for example
	// `%ProgramFiles%\\Cloudbase Solutions\\Cloudbase-Init\\conf\\Unattend.xml`. It is
	// fetched and checked before sysprep starts, merged with `unattend`, and given
	// to sysprep like any other; the file itself stays as it is.
	AnswerFileInGuest string `mapstructure:"answer_file_in_guest"`
	// The answer file in HCL. With `answer_file`, `answer_file_content` or
	// `answer_file_in_guest` its settings override those of that file. See
	// [unattend](#the-block-unattend).
	Unattend *answerfile.Unattend `mapstructure:"unattend"`
	// What is said of the answer file, and how bad it is. See
	// [lint](#the-block-lint).
	Lint *answerfile.LintOptions `mapstructure:"lint"`
	// Before sysprep runs, remove the answer files on Windows' search path,
	// and the registry's pointer to one. Those on other drives stay. By default
	// they are only reported.
	RemoveAnswerFiles bool `mapstructure:"remove_answer_files"`
	// Let the deployed machine delete `\Windows\Panther\unattend.xml` at the end
	// of Windows Setup, by `\Windows\Setup\Scripts\SetupComplete.cmd`. A script
	// that exists already runs after that. Windows does not run
	// `SetupComplete.cmd` with an OEM product key, except on Enterprise editions
	// and Windows Server.
	DeleteCachedAnswerFile bool `mapstructure:"delete_cached_answer_file"`
	// Pass `/quiet`. Defaults to `true`. With `false` sysprep may wait forever
	// in a dialog that nobody sees; the build then fails after `stall_timeout`.
	Quiet config.Trilean `mapstructure:"quiet"`
	// Further arguments for sysprep.exe, each beginning with `/`. Arguments that
	// have an option of their own are refused.
	ExtraArguments []string `mapstructure:"extra_arguments"`
	// How long sysprep may take in total. Defaults to `30m`, and to as much longer as
	// a step that is known to write nothing for long may take (`stall_timeout`),
	// while it does.
	GeneralizeTimeout time.Duration `mapstructure:"generalize_timeout"`
	// How long sysprep's log may go without a new line before the run counts as hung; how
	// long the guest may be silent before it counts as lost, whether its port is
	// open or closed; and how long to wait at the start for a guest that does not
	// answer or a Windows Setup that is still running. Defaults to `10m`, and
	// to up to `40m` for steps that are known to write nothing for long (the wait
	// for dmwappushservice, devices, apps, providers of other software). A value that
	// is set holds for those too.
	StallTimeout time.Duration `mapstructure:"stall_timeout"`
	// How often the state of the guest is checked, from `100ms` to `30s`. Defaults to `2s`.
	PollInterval time.Duration `mapstructure:"poll_interval"`
	// How long Windows may take from sysprep's success to the power-off or the
	// restart. Defaults to `5m`. A closed port does not show whether the machine
	// is off or restarting: with `action = "shutdown"` and any builder but
	// sysprep-vhd, the port has to stay closed for 3 minutes more, or for
	// `shutdown_timeout` where that is shorter.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
	// How long a guest that restarts into audit mode may take until it is there and
	// answers. Defaults to `15m`.
	RebootTimeout time.Duration `mapstructure:"reboot_timeout"`
	// Lines for cmd.exe that run in the guest when all else is done, one after the
	// other, right before Windows is powered off or restarted: for what has to be
	// last, such as closing WinRM or removing the build account. sysprep then
	// quits, and the provisioner shuts Windows down itself. With
	// `action = "quit"` they run before the builder takes over, which may need
	// what they take away. A line that fails (exit code other than 0), or takes
	// longer than `before_shutdown_timeout`, ends the run as an error, and Windows
	// stays up. A line must not restart Windows or shut it down.
	BeforeShutdown []string `mapstructure:"before_shutdown"`
	// How long each line of `before_shutdown` may take. Defaults to `5m`.
	BeforeShutdownTimeout time.Duration `mapstructure:"before_shutdown_timeout"`
	// The account sysprep runs as: `build_user` is the one Packer connects as
	// (default; where Windows refuses to start it directly, from a scheduled task
	// of that user), `elevated_user` the one that option names (default when it is
	// set), `system` the LocalSystem account. Microsoft does not support
	// `system`; from build 26100 on (Windows 11 24H2, Server 2025) it leaves a
	// black screen after first boot and is refused.
	RunAs string `mapstructure:"run_as"`
	// A local administrator to run sysprep as, from a scheduled task with
	// highest privileges: `name`, `DOMAIN\name` or `name@domain`.
	ElevatedUser string `mapstructure:"elevated_user"`
	// The password of `elevated_user`. Not needed to run sysprep, and best left
	// out: a task without a stored password (S4U) is used then. With it, it is
	// uploaded to a folder that only administrators can read, and the file is
	// deleted as soon as the task is registered. It may contain any character.
	ElevatedPassword string `mapstructure:"elevated_password"`
	// Folder on the host that gets the logs of sysprep and Windows Setup, on
	// success and on failure, if the guest still answers: `setupact.log`,
	// `setuperr.log`, `diagerr.xml` and `diagwrn.xml` in `sysprep/` (from
	// `\Windows\System32\Sysprep\Panther`), `setup/` (from `\Windows\Panther`)
	// and `oobe/` (from `\Windows\Panther\UnattendGC`), and `run.json`, which says
	// what was done and seen. Passwords and product keys are taken out. See
	// [what to attach to a report](#what-to-attach-to-a-report). It is created if it does
	// not exist, and checked to be writable before the guest is touched. By
	// default no logs are kept.
	LogDirectory string `mapstructure:"log_directory"`
	// What is removed from the guest before sysprep runs, or right before Windows goes
	// down: [ids](https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/blob/main/docs/remedies.md#hygiene)
	// such as `temp`, `event-logs` or `component-store`. Sizes before and after are
	// shown. Nothing is removed by default.
	Hygiene []string `mapstructure:"hygiene"`
	// Where the report on this run is written, see [report](#the-block-report).
	Report block.Config `mapstructure:"report"`
	// The connection to the guest. Without this block the provisioner makes one of
	// its own with what Packer's communicator uses, where it can. See
	// [winrm](#the-block-winrm).
	WinRM *WinRM `mapstructure:"winrm"`

	// What is looked at in the guest before anything is changed there. See
	// [preflight](#the-block-preflight).
	Preflight *Preflight `mapstructure:"preflight"`

	ctx        interpolate.Context
	answer     answer
	severities finding.Overrides
	// patient: stall_timeout is the default, which steps known for their silence
	// may exceed.
	patient bool
	// unhurried: the same of generalize_timeout.
	unhurried bool
}

// Values of options.
const (
	modeOOBE  = "oobe"
	modeAudit = "audit"

	actionAuto     = "auto"
	actionQuit     = "quit"
	actionShutdown = "shutdown"
	actionReboot   = "reboot"

	runAsBuildUser = "build_user"
	runAsElevated  = "elevated_user"
	runAsSystem    = "system"
)

// ownSwitches are sysprep's switches that options stand for.
var ownSwitches = map[string]string{
	"generalize": "generalize", "oobe": "mode", "audit": "mode", "mode": "vm_mode", "quit": "action", "shutdown": "action",
	"reboot": "action", "quiet": "quiet", "unattend": "answer_file",
}

// texts are the options that may hold braces and secrets. The SDK takes every
// text for a template, shows it when it is none, and knows no exception.
func (c *Config) texts() map[string]*string {
	return map[string]*string{
		"answer_file_content": &c.AnswerFileContent, "elevated_user": &c.ElevatedUser, "elevated_password": &c.ElevatedPassword,
	}
}

// decode reads the options and returns everything that is wrong with them at
// once. It may be called any number of times.
func (c *Config) decode(raws ...any) error {
	*c = Config{}
	var block, winrmBlock any
	names := slices.Sorted(maps.Keys(c.texts()))
	if !slices.ContainsFunc(raws, func(raw any) bool { _, hcl := raw.(cty.Value); return hcl }) {
		// The SDK quotes values of a wrong type; in HCL there are none.
		for _, name := range names {
			if value, _ := take(raws, name); !isText(value) {
				return fmt.Errorf("reading the options: %s: it is not text; write a string", name)
			}
		}
		block, raws = take(raws, "unattend")
		winrmBlock, raws = take(raws, "winrm")
	}
	// Twice: once as it stands, once without those texts.
	if err := config.Decode(c, &config.DecodeOpts{PluginType: "sysprep"}, raws...); err != nil {
		return option.Decoding(err, slices.Collect(maps.Keys(c.FlatMapstructure().HCL2Spec())))
	}
	kept, unattend, session := map[string]string{}, c.Unattend, c.WinRM
	for name, text := range c.texts() {
		kept[name] = *text
	}
	_, raws = take(raws, append(names, "unattend", "winrm")...)
	err := config.Decode(c, &config.DecodeOpts{PluginType: "sysprep", Interpolate: true, InterpolateContext: &c.ctx}, raws...)
	if err != nil && strings.Contains(err.Error(), "packer_user_variables") {
		err = errors.New("a user variable holds braces that are not a template; write {{`{{`}} for two braces") // it shows the variable
	}
	if err != nil {
		return fmt.Errorf("reading the options: %w", err)
	}
	c.Unattend, c.WinRM = unattend, session
	for name, text := range c.texts() {
		*text = kept[name]
	}
	if block != nil {
		if c.Unattend, err = decodeUnattend(block, c.ctx); err != nil {
			return fmt.Errorf("reading the options: %w", err)
		}
	}
	if winrmBlock != nil {
		if c.WinRM, err = decodeWinRM(winrmBlock, c.ctx); err != nil {
			return fmt.Errorf("reading the options: %w", err)
		}
	}
	c.setDefaults()
	var errs *packersdk.MultiError
	for _, problem := range slices.Concat(c.checkValues(), c.checkTimes(), c.checkTogether(), c.checkAgent(), c.checkAccount(false), c.checkArguments(), c.checkBeforeShutdown(), c.checkHygiene(), c.checkWinRM(), c.checkLogDirectory(), c.checkReport(), c.checkLint(), c.checkPreflight(), c.readAnswer()) {
		errs = packersdk.MultiErrorAppend(errs, problem)
	}
	if errs != nil {
		return errs
	}
	return nil
}

// take returns copies of maps of options that lack some, and the last value
// of those. config.Decode has turned HCL values into maps by then. The type of
// a map stays: by it the SDK knows Packer's placeholders in JSON templates.
func take(raws []any, names ...string) (value any, rest []any) {
	for _, raw := range raws {
		switch m := raw.(type) {
		case map[string]any:
			raw = takeFrom(m, names, &value)
		case map[any]any:
			raw = takeFrom(m, names, &value)
		}
		rest = append(rest, raw)
	}
	return value, rest
}

func takeFrom[K comparable](m map[K]any, names []string, value *any) map[K]any {
	m = maps.Clone(m)
	maps.DeleteFunc(m, func(name K, v any) bool {
		taken := slices.Contains(names, fmt.Sprint(name))
		if taken {
			*value = v
		}
		return taken
	})
	return m
}

// isText reports whether the SDK can make a text of a value.
func isText(value any) bool {
	switch value.(type) {
	case nil, string, []uint8, bool, int, int64, uint64, float64:
		return true
	}
	return false
}

func (c *Config) setDefaults() {
	c.Mode = cmp.Or(c.Mode, modeOOBE)
	c.Action = cmp.Or(c.Action, actionAuto)
	if c.RunAs == "" && c.ElevatedUser != "" {
		c.RunAs = runAsElevated
	}
	c.RunAs = cmp.Or(c.RunAs, runAsBuildUser)
	c.Agent = cmp.Or(c.Agent, agentNone)
	c.unhurried = c.unhurried || c.GeneralizeTimeout == 0
	c.GeneralizeTimeout = cmp.Or(c.GeneralizeTimeout, 30*time.Minute)
	c.patient = c.patient || c.StallTimeout == 0 // Prepare runs twice
	c.StallTimeout = cmp.Or(c.StallTimeout, min(10*time.Minute, c.GeneralizeTimeout))
	c.PollInterval = cmp.Or(c.PollInterval, 2*time.Second)
	c.ShutdownTimeout = cmp.Or(c.ShutdownTimeout, 5*time.Minute)
	c.RebootTimeout = cmp.Or(c.RebootTimeout, 15*time.Minute)
	c.BeforeShutdownTimeout = cmp.Or(c.BeforeShutdownTimeout, 5*time.Minute)
}

func (c *Config) generalize() bool { return !c.Generalize.False() }
func (c *Config) quiet() bool      { return !c.Quiet.False() }

func (c *Config) checkValues() (errs []error) {
	for _, o := range []struct {
		name, value string
		allowed     []string
	}{
		{"mode", c.Mode, []string{modeOOBE, modeAudit}},
		{"action", c.Action, []string{actionAuto, actionQuit, actionShutdown, actionReboot}},
		{"agent", c.Agent, agentValues()},
		{"run_as", c.RunAs, []string{runAsBuildUser, runAsElevated, runAsSystem}},
	} {
		if !slices.Contains(o.allowed, o.value) && !unknown.In(o.value) {
			errs = append(errs, fmt.Errorf("%s: %q is not one of %s", o.name, o.value, strings.Join(o.allowed, ", ")))
		}
	}
	return errs
}

func (c *Config) checkTimes() (errs []error) {
	for _, o := range []struct {
		name  string
		value time.Duration
	}{
		{"generalize_timeout", c.GeneralizeTimeout}, {"stall_timeout", c.StallTimeout}, {"shutdown_timeout", c.ShutdownTimeout},
		{"reboot_timeout", c.RebootTimeout}, {"before_shutdown_timeout", c.BeforeShutdownTimeout},
	} {
		if o.name == "stall_timeout" && c.patient {
			continue // its default, which is no longer than generalize_timeout
		}
		if o.value < time.Second {
			errs = append(errs, fmt.Errorf("%s: %s is less than a second; write it with its unit, e.g. \"10m\"", o.name, o.value))
		}
	}
	if c.PollInterval < 100*time.Millisecond || c.PollInterval > 30*time.Second {
		errs = append(errs, fmt.Errorf("poll_interval: %s is not between 100ms and 30s; the default is 2s", c.PollInterval))
	}
	if len(errs) > 0 {
		return errs
	}
	if c.StallTimeout > c.GeneralizeTimeout {
		errs = append(errs, fmt.Errorf("stall_timeout: %s is longer than generalize_timeout (%s) and would never be reached; shorten it or raise generalize_timeout",
			c.StallTimeout, c.GeneralizeTimeout))
	}
	if c.PollInterval > c.StallTimeout/2 {
		errs = append(errs, fmt.Errorf("poll_interval: %s is more than half of stall_timeout (%s), so a stall could not be told from a pause; shorten it", c.PollInterval, c.StallTimeout))
	}
	return errs
}

// checkTogether refuses options that contradict each other.
func (c *Config) checkTogether() (errs []error) {
	refuse := func(when bool, format string, args ...any) {
		if when {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(c.AnswerFile != "" && c.AnswerFileContent != "", "answer_file and answer_file_content are both set; keep one of them")
	refuse(c.ThroughAudit && (c.Mode == modeAudit || !c.generalize()), "through_audit: it is for a run that generalizes Windows for OOBE; leave out generalize and mode, or use mode = \"audit\" with generalize = false alone")
	refuse(c.AnswerFileInGuest != "" && (c.AnswerFile != "" || c.AnswerFileContent != ""), "answer_file_in_guest and answer_file or answer_file_content are both set; keep one of them")
	refuse(c.VMMode && !c.generalize(), "vm_mode: sysprep accepts /mode:vm only together with /generalize; set generalize = true or remove vm_mode")
	refuse(c.VMMode && c.Mode == modeAudit, "vm_mode: sysprep accepts /mode:vm only together with /oobe; set mode = \"oobe\" or remove vm_mode")
	refuse(c.Action == actionReboot && c.generalize() && c.PackerBuilderType == ownBuilder,
		"action: \"reboot\" with generalize = true boots the image and so undoes what was asked for, and %s would have to refuse the disk; use \"shutdown\"", ownBuilder)
	refuse(c.RunAs == runAsElevated && c.ElevatedUser == "", "run_as: \"elevated_user\" needs the option elevated_user: the name of a local administrator")
	refuse(c.RunAs != runAsElevated && c.ElevatedUser != "" && !unknown.In(c.RunAs),
		"elevated_user: not used with run_as = %q; remove one of them", c.RunAs)
	refuse(c.ElevatedPassword != "" && c.ElevatedUser == "", "elevated_password: it needs elevated_user; add that, or remove the password")
	refuse(c.RunAs == runAsElevated && strings.EqualFold(systemName(c.ElevatedUser), "system"),
		"elevated_user: sysprep as SYSTEM is not supported by Microsoft; name an administrator, or opt in with run_as = \"system\"")
	return errs
}

// systemName strips the authority from a name such as NT AUTHORITY\SYSTEM.
func systemName(user string) string { return user[strings.LastIndexByte(user, '\\')+1:] }

func (c *Config) checkArguments() (errs []error) {
	for i, argument := range c.ExtraArguments {
		if unknown.In(argument) {
			continue
		}
		name := fmt.Sprintf("extra_arguments[%d]", i)
		word, _, _ := strings.Cut(strings.ToLower(strings.TrimLeft(argument, "/-")), ":")
		switch option := ownSwitches[word]; {
		case argument == "":
			errs = append(errs, fmt.Errorf("%s is empty; remove it", name))
		case argument[0] != '/' && argument[0] != '-':
			errs = append(errs, fmt.Errorf("%s: %q does not begin with /; sysprep would stop in a usage dialog that nobody sees", name, argument))
		case strings.ContainsAny(argument, " \t\r\n\"%^&|<>"):
			errs = append(errs, fmt.Errorf("%s: %q contains a space, a quote or another character that cmd.exe and sysprep do not accept; give one switch per element and use a path without spaces", name, argument))
		case option != "":
			errs = append(errs, fmt.Errorf("%s: %q is what the option %s is for; remove it and set %s", name, argument, option, option))
		}
	}
	return errs
}

// checkBeforeShutdown refuses lines that could not be run in the end.
func (c *Config) checkBeforeShutdown() []error {
	if slices.ContainsFunc(slices.Concat(c.BeforeShutdown, c.Hygiene), unknown.In) {
		return nil
	}
	for i, line := range c.BeforeShutdown {
		if strings.TrimSpace(line) == "" || strings.ContainsAny(line, "\r\n\x00") {
			return []error{fmt.Errorf("before_shutdown[%d]: it is empty, or holds a line break; write each command as an element of its own", i)}
		}
	}
	if err := guest.LastLines(texts(c.lastLines())); err != nil {
		return []error{fmt.Errorf("before_shutdown: %w; put the commands into a script in the guest, and call that", err)}
	}
	return nil
}
