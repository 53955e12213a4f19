package wsman

import "time"

// Limits are the quotas of WinRM, named as in its configuration
// (MS-WSMV 2.2.4.10 and 2.2.4.42). A zero field means the default.
type Limits struct {
	MaxEnvelopeSizekb              int           // 500
	MaxTimeout                     time.Duration // MaxTimeoutms: 60 s
	MaxConnections                 int           // 300
	MaxConcurrentOperationsPerUser int           // 1500
	MaxConcurrentUsers             int           // 10
	MaxShellsPerUser               int           // 30
	MaxProcessesPerShell           int           // 25
	IdleTimeout                    time.Duration // 2 h
}
