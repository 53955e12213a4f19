package evidencefile

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/inventory"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/sbom"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/version"
)

// billLimit bounds reading what a Windows is made of, which takes seconds.
const billLimit = 10 * time.Minute

// program is the name of what writes the bill; the command writes the same.
const program = "packer-plugin-sysprep"

// PrepareSBOM checks the option sbom. proven: the block verify is not switched off.
func PrepareSBOM(wanted, proven bool) []error {
	if wanted && !proven {
		return []error{errors.New("sbom, verify.enabled: the bill of materials is of a proven image; remove verify.enabled = false, or sbom")}
	}
	return nil
}

// CheckSBOM says why the bill of materials of a disk cannot be written; see Config.Check.
func CheckSBOM(wanted bool, prefix string, inputs ...string) []error {
	if !wanted || unknown.In(prefix) {
		return nil
	}
	if err := evidence.CheckSBOM(prefix, inputs...); err != nil {
		return []error{fmt.Errorf("sbom: %w", err)}
	}
	return nil
}

// CheckWindows says as soon as a disk is proven that no bill can be made of it: it has
// several Windows, and a bill is of one. windows is the option of the block verify.
func CheckWindows(wanted bool, windows string, r proof.Result) error {
	if !wanted {
		return nil
	}
	var partitions []int
	for _, w := range r.Facts.Windows {
		partitions = append(partitions, w.Partition)
	}
	_, err := choose(partitions, windows)
	return err
}

// choose is the index of the Windows that is meant.
func choose(partitions []int, windows string) (int, error) {
	var names []string
	wanted, _ := strconv.Atoi(windows) // 0: all, of which there is one
	for i, partition := range partitions {
		if partition == wanted || wanted == 0 && len(partitions) == 1 {
			return i, nil
		}
		names = append(names, strconv.Itoa(partition))
	}
	if len(partitions) == 0 {
		return 0, errors.New("sbom: no Windows was found on the disk")
	}
	return 0, fmt.Errorf("sbom: the disk has a Windows in each of the partitions %s, and a bill of materials is of one; set verify.windows to the number of one of them, or remove sbom", strings.Join(names, ", "))
}

// Bill is the bill of materials of the Windows on a proven disk, in CycloneDX 1.6: the
// same bytes whenever and of whatever format of the disk it is made. open opens the disk;
// windows is the option of the block verify. A place that cannot be read is said.
func Bill(ctx context.Context, ui packersdk.Ui, windows string, open func(context.Context) (diskimage.Disk, error)) (bill []byte, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, billLimit, fmt.Errorf("it took longer than %s", billLimit))
	defer cancel()
	wait := heartbeat.New(heartbeat.Real(time.Now, nil), ui.Say)
	err = wait.During(heartbeat.Facts{Doing: "listing what the Windows is made of", Limit: billLimit}, func() error {
		inv, err := takeStock(ctx, windows, open)
		if err != nil {
			return err
		}
		for _, s := range inv.Unreadable() {
			ui.Sayf("Warning: the bill of materials lacks what could not be read: %s", foreign.Text(s.Where+": "+strings.Join(s.Reasons, "; ")))
		}
		doc, err := sbom.New(inv, program, version.PluginVersion.String())
		if err != nil {
			return fmt.Errorf("sbom: %w; to build without a bill of materials remove sbom", err)
		}
		bill, err = doc.Bytes()
		return err
	})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("sbom: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, err
	}
	return bill, nil
}

func takeStock(ctx context.Context, windows string, open func(context.Context) (diskimage.Disk, error)) (*inventory.Inventory, error) {
	d, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("sbom: %w", err)
	}
	defer d.Close()
	drives, _, err := winimage.Drives(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("sbom: %w", err)
	}
	var partitions []int
	for _, drive := range drives {
		partitions = append(partitions, drive.Partition)
	}
	i, err := choose(partitions, windows)
	if err != nil {
		return nil, err
	}
	inv, err := inventory.ReadDrive(ctx, drives[i].Files)
	if err != nil {
		return nil, fmt.Errorf("sbom: %w", err)
	}
	return inv, nil
}
