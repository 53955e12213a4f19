package wsman

import "time"

// Limits are the quotas of WinRM, named as in its configuration (MS-WSMV
// 2.2.4.10 and 2.2.4.42). A zero field means the default of Windows Server
// 2016 and later. MaxMemoryPerShellMB has no counterpart here: a process that
// runs out of memory is injected (Rule with Fail and 2147942408).
type Limits struct {
	// MaxEnvelopeSizekb is the largest request and response, 500 kB; a larger
	// request gets HTTP 413 without a fault.
	MaxEnvelopeSizekb int
	// MaxTimeoutms is the longest a request is kept waiting, 60 s; a longer
	// OperationTimeout is cut to it (MS-WSMV 3.1.4.1.6).
	MaxTimeoutms time.Duration
	// MaxConcurrentOperationsPerUser is 1500. Shells and commands count until
	// the shell is deleted (MS-WSMV note <118>).
	MaxConcurrentOperationsPerUser int
	// MaxConcurrentUsers is how many users may have shells, 10.
	MaxConcurrentUsers int
	// MaxShellsPerUser is 30.
	MaxShellsPerUser int
	// MaxProcessesPerShell is 25.
	MaxProcessesPerShell int
	// IdleTimeout deletes a shell that no request has used for 2 h.
	IdleTimeout time.Duration
	// MaxCommandLine is what cmd.exe takes, 8191 characters (before it expands
	// anything), MaxCreateProcess what CreateProcess takes, 32767.
	MaxCommandLine, MaxCreateProcess int
}

func (l Limits) withDefaults() Limits {
	number := func(p *int, def int) {
		if *p == 0 {
			*p = def
		}
	}
	duration := func(p *time.Duration, def time.Duration) {
		if *p == 0 {
			*p = def
		}
	}
	number(&l.MaxEnvelopeSizekb, 500)
	duration(&l.MaxTimeoutms, time.Minute)
	number(&l.MaxConcurrentOperationsPerUser, 1500)
	number(&l.MaxConcurrentUsers, 10)
	number(&l.MaxShellsPerUser, 30)
	number(&l.MaxProcessesPerShell, 25)
	duration(&l.IdleTimeout, 2*time.Hour)
	number(&l.MaxCommandLine, 8191)
	number(&l.MaxCreateProcess, 32767)
	return l
}
