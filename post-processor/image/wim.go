package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/capture"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// formatWIM is the format that is no disk but the files of one.
const formatWIM = "wim"

// names says whether a file of that name is taken for one of the format.
func (c *Config) names(path string) bool {
	if c.Format == formatWIM {
		return filepath.Ext(path) == capture.Extension
	}
	return diskimage.Format(c.Format).Names(path)
}

// prepareWIM checks the options of a WIM, and those that none has.
func (c *Config) prepareWIM() (errs []error) {
	if c.Format == unknown.Value {
		return nil
	}
	if c.Format != formatWIM {
		for name, value := range map[string]string{"wim_compression": c.WIMCompression, "wim_name": c.WIMName, "wim_description": c.WIMDescription} {
			if value != "" {
				errs = append(errs, fmt.Errorf("%s: only valid with format = \"wim\"; set format or remove %s", name, name))
			}
		}
		slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return errs
	}
	all := wim.Compressions()
	// The formats' own documents write them in capitals.
	c.WIMCompression = cmp.Or(strings.ToLower(c.WIMCompression), all[0])
	if c.WIMCompression != unknown.Value && !slices.Contains(all, c.WIMCompression) {
		errs = append(errs, fmt.Errorf("wim_compression: %q is not one of %s", c.WIMCompression, strings.Join(all, ", ")))
	}
	if c.Verify.Compare {
		errs = append(errs, errors.New("verify.compare: not valid with format = \"wim\": a WIM is not a disk that can be compared; remove verify.compare"))
	}
	if c.Verify.Target != "" {
		errs = append(errs, errors.New("verify.target: not valid with format = \"wim\": a WIM is not a disk that can be uploaded; remove verify.target, or choose the format that the target takes"))
	}
	if c.Evidence.Wanted() {
		errs = append(errs, errors.New("evidence: not valid with format = \"wim\": a WIM is not a disk that can be proven; remove evidence, or make it with a sysprep-image of its own, without format, for the disk"))
	}
	if c.Compact.True() {
		errs = append(errs, errors.New("compact: not valid with format = \"wim\", which holds files only; remove compact"))
	}
	return errs
}

// capture writes a WIM of the proven disk into the scratch folder and returns its path.
func (p *PostProcessor) capture(ctx context.Context, ui packersdk.Ui, found disks, facts winimage.Facts, output, scratch string) (string, error) {
	src, err := open(ctx, found.path, found.backing)
	if err != nil {
		return "", err
	}
	defer src.Close()
	if p.config.Verify.Enabled.False() { // nobody has looked yet
		if facts, err = winimage.Inspect(ctx, src, winimage.Options{Name: found.path}); err != nil {
			return "", err
		}
	}
	partition, _ := strconv.Atoi(p.config.Verify.Windows) // 0: the only one
	if partition, err = capture.Choose(facts, partition); err != nil {
		return "", fmt.Errorf("verify.windows: %w", err)
	}
	heart := heartbeat.New(heartbeat.Real(time.Now, nil), ui.Say)
	wait := heart.Begin(heartbeat.Facts{Doing: "capturing the disk"})
	defer wait.End()
	fifths := progress(ui)
	ui.Sayf("Capturing to WIM: %s", output)
	unproven := filepath.Join(scratch, "unproven"+capture.Extension)
	r, err := capture.Write(ctx, src, facts, unproven, capture.Options{
		Compression: wim.Compression(p.config.WIMCompression), Name: p.config.WIMName, Description: p.config.WIMDescription, Partition: partition,
		Progress: func(done, total int64) {
			wait.Percent(done, total)
			fifths(done, total)
		},
	})
	if err != nil {
		return "", fmt.Errorf("capturing %s: %w", found.path, err)
	}
	ui.Sayf("Captured: %s, %d files and %d folders with %d MiB, in %d MiB", r.Name, r.Files, r.Folders, r.Content>>20, r.Size>>20)
	if len(r.Excluded) > 0 {
		ui.Sayf("Left out: %s", strings.Join(r.Excluded, ", "))
	}
	return unproven, nil
}
