package sysprep

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
		"report": c.Report.Wanted(), "preflight": c.Preflight != nil,
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
	if w := c.WinRM; w != nil {
		block := map[string]any{"mode": w.Mode, "port": w.Port, "use_ssl": w.UseSSL.True(), "insecure": w.Insecure}
		for name, there := range map[string]bool{"username": w.Username != "", "password": w.Password != "", "ca_file": w.CAFile != "", "pin": w.Pin != ""} {
			if there {
				block[name] = isSet
			}
		}
		all["winrm"] = block
	}
	return all
}
