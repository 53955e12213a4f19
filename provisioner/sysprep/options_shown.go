package sysprep

import (
	"cmp"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
)

// isSet stands for an option that may hold a secret and has a value.
const isSet = "(set)"

// shown are the options as they are written down, by their names: those that can
// hold no secret, and of the others that they are set. A new option is not among
// them before it is named here.
func (c *Config) shown() map[string]any {
	all := map[string]any{
		"generalize": c.generalize(), "mode": c.Mode, "through_audit": c.ThroughAudit, "vm_mode": c.VMMode, "action": c.Action, "agent": c.Agent,
		"remove_answer_files": c.RemoveAnswerFiles, "delete_cached_answer_file": c.DeleteCachedAnswerFile, "quiet": c.quiet(),
		"generalize_timeout": c.GeneralizeTimeout.String(), "stall_timeout": c.StallTimeout.String(), "poll_interval": c.PollInterval.String(),
		"shutdown_timeout": c.ShutdownTimeout.String(), "reboot_timeout": c.RebootTimeout.String(), "before_shutdown_timeout": c.BeforeShutdownTimeout.String(),
		"run_as": c.RunAs,
	}
	if c.patient {
		delete(all, "stall_timeout") // the default, which knows silent steps
	}
	for name, there := range map[string]bool{
		"command": c.Command != "", "answer_file": c.AnswerFile != "", "answer_file_content": c.AnswerFileContent != "", "answer_file_in_guest": c.AnswerFileInGuest != "",
		"unattend": c.Unattend != nil, "lint": c.Lint != nil, "elevated_user": c.ElevatedUser != "", "elevated_password": c.ElevatedPassword != "", "log_directory": c.LogDirectory != "",
		"report": c.Report.Wanted(),
	} {
		if there {
			all[name] = isSet
		}
	}
	if len(c.Hygiene) > 0 {
		all["hygiene"] = c.Hygiene
	}
	if c.Preflight != nil && len(c.Preflight.Remedies) > 0 {
		all["preflight.remedies"] = c.Preflight.Remedies
	}
	if n := len(c.BeforeShutdown); n > 0 {
		all["before_shutdown_lines"] = n // a line may hold a secret
	}
	if n := len(c.ExtraArguments); n > 0 {
		all["extra_arguments_count"] = n // the plan has them, scrubbed
	}
	if c.WinRM != nil {
		all["winrm"] = c.WinRM.shown()
	}
	if c.Preflight != nil {
		all["preflight"] = c.Preflight.shown()
	}
	return all
}

// shown is the block as it is written down.
func (w *WinRM) shown() map[string]any {
	block := map[string]any{"mode": w.Mode, "port": w.Port, "insecure": w.Insecure, "login_attempts": cmp.Or(w.LoginAttempts, lockout.DefaultMost)}
	for name, value := range map[string]config.Trilean{"use_ssl": w.UseSSL, "use_ntlm": w.UseNTLM} {
		if value != config.TriUnset { // else it is found out
			block[name] = value.True()
		}
	}
	for name, there := range map[string]bool{"username": w.Username != "", "password": w.Password != "", "ca_file": w.CAFile != "", "pin": w.Pin != ""} {
		if there {
			block[name] = isSet
		}
	}
	return block
}

// shown is the block as it is written down.
func (p *Preflight) shown() map[string]any {
	block := map[string]any{"enabled": !p.Enabled.False(), "fail_on": p.FailOn, "report_only": p.ReportOnly, "bitlocker_timeout": p.BitLockerTimeout.String()}
	if len(p.RemoveProviders) > 0 {
		block["remove_providers"] = p.RemoveProviders
	}
	if len(p.Severities) > 0 {
		block["severities"] = p.Severities
	}
	if w := p.WaitFor; w != nil {
		block["wait_for"] = map[string]any{"first_boot": w.FirstBoot, "servicing": w.Servicing, "agents": w.Agents, "timeout": w.Timeout.String()}
	}
	return block
}
