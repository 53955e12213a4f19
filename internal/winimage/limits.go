package winimage

import (
	"context"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
)

// What is read of a disk at most. A proof of a Windows in use needs less than
// a tenth of each. What exceeds a limit is named in the report and proves
// nothing.
const (
	maxInstallations = 4

	maxStructure = 256 << 20 // bytes of MFT records and directories, of all volumes
	maxRecords   = 500_000

	maxHive      = 16 << 20 // bytes of one hive
	maxHiveItems = 500_000  // its keys and values visited
	maxHiveLog   = 16 << 20 // bytes of one of its logs; Windows caps them at less

	maxLog      = 16 << 20 // bytes of setupact.log from its end
	maxLogLines = 300_000  // of all installations
	maxSaved    = 64 << 20 // bytes of all logs that are kept of a failed build

	maxAnswerFiles = 32
	maxAnswerFile  = 4 << 20
	maxAnswerBytes = 12 << 20 // of all answer files

	maxSecretFiles = 300      // that may hold a password
	maxSecretFile  = 4 << 20  // bytes of one of them
	maxSecretBytes = 24 << 20 // of all

	maxStateINI = 64 << 10
)

// How much of what was read is shown.
const (
	maxText     = 4 << 10 // bytes of a text in the registry
	maxShown    = 1 << 10 // bytes of a line or message
	maxList     = 100     // entries of a list
	maxNotes    = 50
	maxSetting  = 256 // bytes of the path of a setting
	maxPassName = 64
)

// structure is the budget for the metadata of all volumes of a disk.
func structure(ctx context.Context) *budget.Budget {
	return budget.New(ctx, budget.Limits{Bytes: maxStructure, Of: "MFT records and directories", Items: maxRecords, Noun: "MFT records and directory blocks"})
}

// hiveBudget is the budget for one hive; its logs are bounded by maxHiveLog.
func hiveBudget(ctx context.Context) *budget.Budget {
	return budget.New(ctx, budget.Limits{Bytes: maxHive, Of: "hive data", Items: maxHiveItems, Noun: "keys and values"})
}

// logBudget is the budget for setupact.log, of all installations.
func logBudget(ctx context.Context) *budget.Budget {
	return budget.New(ctx, budget.Limits{Bytes: 3 * maxLog, Of: "log", Items: maxLogLines, Noun: "log lines"})
}
