package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

// Repair is what repair.ps1 does by one call (internal/guest/scripts/contract.md).
type Repair string

// The repairs. Each does nothing where there is nothing to do, so it may be asked
// for again.
const (
	RepairAppx            Repair = "appx-remove"
	RepairSearch          Repair = "search-stop"
	RepairUpdates         Repair = "update-services-stop"
	RepairServiceEnable   Repair = "service-enable"
	RepairBitLocker       Repair = "bitlocker-off"
	RepairReservedStorage Repair = "reserved-storage-off"
	RepairProviders       Repair = "external-provider-remove"
	RepairAnswerFiles     Repair = "answer-files-aside"
	RepairAutologon       Repair = "autologon-clear"
	RepairRadius          Repair = "nps-clients-remove"
	RepairDomain          Repair = "domain-leave"
)

// repairLimits bound the call of each, from what its own queries may take
// (repair.ps1): a package takes Windows up to a minute, and a service half of one.
var repairLimits = map[Repair]time.Duration{
	RepairAppx: 15 * time.Minute, RepairSearch: 3 * time.Minute, RepairUpdates: 5 * time.Minute,
	RepairServiceEnable: 2 * time.Minute, RepairBitLocker: 6 * time.Minute, RepairReservedStorage: 5 * time.Minute,
	RepairProviders: 2 * time.Minute, RepairAnswerFiles: 2 * time.Minute, RepairAutologon: 2 * time.Minute, RepairRadius: 3 * time.Minute,
	RepairDomain: 5 * time.Minute,
}

// RepairAction is one change that a repair made, tried to make or, in a dry run,
// would make.
type RepairAction struct {
	// What is a word of repair.ps1, such as "service-stop", and Target what it was
	// done to: a service, a package, a path, a registry value.
	What   string `json:"what"`
	Target string `json:"target"`
	Done   bool   `json:"done"`
	// Error is why it was not done, in the guest's language; empty: it was, or
	// nothing was tried.
	Error string `json:"error"`
}

// Repaired is what a repair answered.
type Repaired struct {
	DryRun  bool
	Changed bool
	// Failed counts the actions that were not done though they were to be.
	Failed  int
	Actions []RepairAction
	// Before and After are the state as repair.ps1 has it for that id, JSON. After
	// is nil in a dry run.
	Before, After json.RawMessage
}

// Repair does one repair, or only says what it would do. The parameters are those of
// the id in contract.md; nil: none. Without an answer the guest may have been
// changed; errors.Is(err, ErrNotSent) says that it was not.
func (s *Session) Repair(ctx context.Context, id Repair, parameters map[string]any, dryRun bool) (Repaired, error) {
	limit, known := repairLimits[id]
	if !known {
		return Repaired{}, fmt.Errorf("%w: there is no repair %q", ErrNotSent, id)
	}
	params := map[string]any{"id": string(id), "dryRun": dryRun}
	for name, value := range parameters {
		params[name] = value
	}
	var doc *struct {
		ID      string          `json:"id"`
		DryRun  bool            `json:"dryRun"`
		Changed bool            `json:"changed"`
		Failed  int             `json:"failed"`
		Actions []RepairAction  `json:"actions"`
		Before  json.RawMessage `json:"before"`
		After   json.RawMessage `json:"after"`
	}
	err := s.Script(ctx, scripts.Repair, params, func(raw []byte) {
		if json.Unmarshal(raw, &doc) != nil {
			doc = nil
		}
	}, limit)
	if err == nil && (doc == nil || doc.ID != string(id) || doc.DryRun != dryRun) {
		err = ErrUnreadable
	}
	if err != nil {
		return Repaired{}, fmt.Errorf("repairing (%s): %w", id, err)
	}
	for i := range doc.Actions {
		doc.Actions[i].Error = short(doc.Actions[i].Error)
	}
	if bytes.Equal(doc.After, []byte("null")) {
		doc.After = nil
	}
	return Repaired{doc.DryRun, doc.Changed, doc.Failed, doc.Actions, doc.Before, doc.After}, nil
}

// StartServices starts services that were stopped for a run, without waiting until
// they work, and returns those that did not take it. It needs no PowerShell: it is
// for the end of a run that may have been cancelled.
func (s *Session) StartServices(ctx context.Context, limit time.Duration, names ...string) (left []string, err error) {
	var asks []command
	for i, name := range names {
		// What runs already cannot be started: state 4 is one that runs.
		running := command{text: call("sc query ?", name).text + " | " + call("findstr /c:?>nul", ": 4 ").text}
		asks = append(asks, call("sc start ?"+quiet, name).otherwise(running).group().then(echo(fmt.Sprintf("started=%d", i))))
	}
	a, err := s.ask(ctx, all(asks...), limit)
	if err != nil {
		return names, fmt.Errorf("starting services: %w", err)
	}
	started, err := a.numbers("started", len(names))
	if err != nil {
		return names, fmt.Errorf("starting services: %w", err)
	}
	for i, name := range names {
		if !slices.Contains(started, i) {
			left = append(left, name)
		}
	}
	return left, nil
}

// EncryptedVolume is how far a volume is encrypted.
type EncryptedVolume struct {
	Drive string
	// Status is ConversionStatus of Win32_EncryptableVolume: 0 decrypted, 1
	// encrypted, 2 and 3 encrypting and decrypting, 4 and 5 those paused.
	Status int
	// Percent is how much of it is encrypted.
	Percent int
}

// Volumes reads the state of RepairBitLocker, Before or After.
func Volumes(state json.RawMessage) ([]EncryptedVolume, error) {
	var byDrive map[string]struct {
		Status  *int `json:"conversionStatus"`
		Percent *int `json:"encryptionPercentage"`
	}
	if err := json.Unmarshal(state, &byDrive); err != nil {
		return nil, fmt.Errorf("reading how far the volumes are encrypted: %w", err)
	}
	var all []EncryptedVolume
	for drive, v := range byDrive {
		if v.Status == nil || v.Percent == nil {
			return nil, fmt.Errorf("reading how far the volumes are encrypted: %w: nothing is said of %s", ErrUnreadable, drive)
		}
		all = append(all, EncryptedVolume{drive, *v.Status, *v.Percent})
	}
	return all, nil
}

// HygieneItem is something that an image should not carry.
type HygieneItem string

// The items of hygiene.ps1.
const (
	HygieneTemp           HygieneItem = "temp"
	HygieneUpdateCache    HygieneItem = "update-cache"
	HygieneRecycleBin     HygieneItem = "recycle-bin"
	HygieneHistory        HygieneItem = "powershell-history"
	HygieneTranscripts    HygieneItem = "transcripts"
	HygieneLeftovers      HygieneItem = "packer-leftovers"
	HygieneEventLogs      HygieneItem = "event-logs"
	HygieneShadowCopies   HygieneItem = "shadow-copies"
	HygieneComponentStore HygieneItem = "component-store"
)

// HygieneSize is how much of an item there is. Of the component store Bytes is the
// free space of the drive of Windows, and Count nothing.
type HygieneSize struct {
	Bytes int64 `json:"bytes"`
	Count int   `json:"count"` // files, logs or shadow copies
}

// Cleaned is what became of an item.
type Cleaned struct {
	Item HygieneItem `json:"item"`
	// Before and After; nil: it could not be measured, or nothing was done.
	Before *HygieneSize `json:"before"`
	After  *HygieneSize `json:"after"`
	// Left counts what could not be removed, and Problem says why of the first, in
	// the guest's language.
	Left    int    `json:"left"`
	Problem string `json:"problem"`
	// Restart: Windows wants one before sysprep.
	Restart bool `json:"restart"`
}

// HygieneLimit bounds a call for these items: DISM may take an hour on a machine of
// many updates.
func HygieneLimit(items []HygieneItem) time.Duration {
	limit := 10 * time.Minute
	for _, item := range items {
		if item == HygieneComponentStore {
			limit += 90 * time.Minute
		}
	}
	return limit
}

// Clean removes items from the guest, one after the other, and hands each on as it
// comes. What this session brought stays. resetBase is for the component store:
// installed updates cannot be uninstalled any more. Without an answer for an item
// the guest may have been changed.
func (s *Session) Clean(ctx context.Context, items []HygieneItem, resetBase, dryRun bool, each func(Cleaned)) error {
	params := map[string]any{"items": items, "keep": s.id, "resetBase": resetBase, "dryRun": dryRun}
	answered := 0
	err := s.Script(ctx, scripts.Hygiene, params, func(raw []byte) {
		var c Cleaned
		if json.Unmarshal(raw, &c) == nil && c.Item != "" {
			answered++
			c.Problem = short(c.Problem)
			each(c)
		}
	}, HygieneLimit(items))
	if err == nil && answered != len(items) {
		err = fmt.Errorf("%w: %d of %d items were answered for", ErrUnreadable, answered, len(items))
	}
	if err != nil {
		return fmt.Errorf("cleaning the guest: %w", err)
	}
	return nil
}

// Lines for AtTheEnd.
var (
	// DisableBuildAccount disables the account of the connection, whose name the
	// guest fills in. net.exe is the one of System32.
	DisableBuildAccount = `net user "%USERNAME%" /active:no`
	// RandomPassword gives the built-in Administrator (RID 500) a password that the
	// guest makes and tells nobody.
	RandomPassword = strings.TrimSpace("powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -InputFormat None -EncodedCommand " + scripts.Encoded(scripts.Password))
)
