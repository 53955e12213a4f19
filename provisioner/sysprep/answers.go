package sysprep

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// buildAnswer makes the answer file anew for the guest, now that its
// architecture is known.
func (r *run) buildAnswer(architecture string) error {
	if r.config.answer.block == nil {
		return r.judgeFetched()
	}
	if architecture == "" {
		return untouched(errors.New("sysprep was not started, the machine is untouched: the guest does not say whether it is amd64, x86 or arm64, and Windows ignores settings for another architecture"), "use answer_file instead of unattend")
	}
	if err := errors.Join(r.config.answer.build(architecture)...); err != nil {
		return fmt.Errorf("sysprep was not started: %w", err)
	}
	return r.judgeFetched()
}

// answerWarnings is what the linter says against the answer file. Packer gives
// a provisioner no way to warn any earlier.
func (r *run) answerWarnings(architecture string) (warnings []string) {
	for _, f := range r.config.lint(architecture) {
		r.book.Found(f)
		if f.Severity != finding.Info {
			warnings = append(warnings, r.config.answer.text(f))
		}
	}
	for _, note := range r.config.answer.notes {
		warnings = append(warnings, fmt.Sprintf("unattend over %s: %s", r.config.answer.name, render.Statement(note)))
	}
	return warnings
}

// answers gets the guest's answer files into order, before sysprep runs.
func (r *run) answers(ctx context.Context) (over bool, err error) {
	if r.attached != nil {
		return false, nil // sysprep runs already
	}
	if err := r.prepare(ctx); err != nil {
		return true, r.giveUp(ctx, err)
	}
	return false, nil
}

func (r *run) prepare(ctx context.Context) error {
	if err := r.tidyOthers(ctx); err != nil {
		return err
	}
	if err := r.addSetupComplete(ctx); err != nil {
		return err
	}
	if r.config.DeleteCachedAnswerFile {
		if err := r.patiently(ctx, func() error { return r.session.DeleteCachedAfterDeployment(ctx) }); err != nil {
			return untouched(fmt.Errorf("sysprep was not started: %w", err), fmt.Sprintf("leave out delete_cached_answer_file, or make the folder %s writable", windows.ScriptsFolder.OnVolume()))
		}
		r.deletesCached = true
		r.ui.Sayf("SetupComplete.cmd of the image will delete %s", r.session.CachedAnswerFile())
	}
	switch {
	case r.session.Places():
		if err := r.bring(ctx); err != nil {
			return err
		}
	case r.plan.AnswerFile != "":
		return r.upload(ctx)
	}
	return r.bringAgent(ctx)
}

// bring brings all that a start needs, and the answer file, at once.
func (r *run) bring(ctx context.Context) error {
	var files []guest.File
	r.left.Files = append(r.left.Files, r.session.Marks()...)
	if r.plan.AnswerFile != "" {
		r.ui.Sayf("Uploading the answer file to %s", r.plan.AnswerFile)
		r.left.Folders = append(r.left.Folders, r.plan.AnswerFolder)
		files = append(files, guest.File{Path: r.plan.AnswerFile, Content: r.config.answer.content, Private: true})
	}
	err := r.heart.During(heartbeat.Facts{Doing: "uploading scripts and answer file"}, func() error {
		return r.patiently(ctx, func() error { return r.session.Bring(ctx, uploadLimit, files...) })
	})
	switch {
	case err == nil, files == nil && !guest.Unanswered(err) && ctx.Err() == nil:
		return nil // scripts that are not there are brought at their use, which knows another way
	case guest.Unanswered(err):
		return untouched(fmt.Errorf("sysprep was not started: %w", err), unanswered)
	}
	next := "connect as an administrator with the elevated token"
	var broken *winrm.CommandError
	if errors.As(err, &broken) && !errors.Is(err, winrm.ErrAccessDenied) {
		next = "find out why the connection to the guest failed, and run the build again; the machine is untouched"
	}
	return untouched(fmt.Errorf("the answer file could not be put into the guest: %w", err), next)
}

// tidyOthers tells of answer files that Windows finds by itself, and removes
// them where that was asked for.
func (r *run) tidyOthers(ctx context.Context) error {
	var found guest.AnswerFiles
	var err error
	if r.first.AnswerFiles != nil {
		found = *r.first.AnswerFiles
	} else {
		err = r.patiently(ctx, func() (err error) {
			found, err = r.session.AnswerFiles(ctx)
			return err
		})
	}
	if guest.Unanswered(err) && ctx.Err() == nil {
		return untouched(fmt.Errorf("sysprep was not started: %w", err), unanswered) // waited for already
	}
	if err != nil {
		if ctx.Err() == nil {
			r.ui.Sayf("Warning: could not look for other answer files in the guest: %s", err)
		}
		return nil
	}
	if had := found; r.config.RemoveAnswerFiles && (had.Pointer != "" || len(had.Files()) > 0) {
		err = r.patiently(ctx, func() (err error) {
			found, err = r.session.RemoveAnswerFiles(ctx, had)
			return err
		})
		if err == nil && (found.Pointer != "" || len(found.Files()) > 0) {
			err = errors.New("they are still there")
		}
		if err != nil {
			return untouched(fmt.Errorf("sysprep was not started: answer files could not be removed from the guest: %w", err), "remove them in an earlier provisioner")
		}
		for _, path := range had.Files() {
			r.ui.Sayf("Removed the answer file %s", path)
		}
		if had.Pointer != "" {
			r.ui.Sayf("Removed the registry's pointer to an answer file; %s itself stays", had.Pointer)
		}
	}
	for _, w := range otherWarnings(found, r.plan.AnswerFile != "") {
		r.ui.Say("Warning: " + w)
	}
	if b, _ := handover(r.config.PackerBuilderType); r.plan.AnswerFile == "" && r.plan.Starter == "" && !b.answers && r.config.Mode == modeOOBE && found.Pointer == "" && len(found.Files()) == 0 && len(found.Media) == 0 {
		r.ui.Say("Warning: there is no answer file: the first boot of the image will ask for the region, the licence and an account, and wait for a person; " +
			"set answer_file, answer_file_in_guest or unattend, unless the machine gets one when it is deployed")
	}
	return nil
}

// addSetupComplete puts the lines of setup_complete into SetupComplete.cmd.
func (r *run) addSetupComplete(ctx context.Context) error {
	block := r.config.answer.block
	if block == nil || len(block.SetupComplete) == 0 {
		return nil
	}
	if len(answerfile.SecretsOfCommands(block.SetupComplete)) > 0 {
		r.ui.Say("Warning: a line of setup_complete seems to hold a password: SetupComplete.cmd stays in the image, and everybody who logs on can read it")
	}
	if err := r.patiently(ctx, func() error { return r.session.AddToSetupComplete(ctx, block.SetupComplete, uploadLimit) }); err != nil {
		return untouched(fmt.Errorf("sysprep was not started: %w", err), fmt.Sprintf("leave out setup_complete, or make the folder %s writable", windows.ScriptsFolder.OnVolume()))
	}
	r.ui.Sayf("SetupComplete.cmd of the image will run %d lines of setup_complete", len(block.SetupComplete))
	return nil
}

// otherWarnings says what each answer file that Windows finds by itself means
// for the image. given: this run brings one of its own.
func otherWarnings(found guest.AnswerFiles, given bool) (warnings []string) {
	warn := func(paths []string, means string) {
		for _, path := range paths {
			warnings = append(warnings, fmt.Sprintf("there is an answer file %s: %s.", path, means))
		}
	}
	const remove = "; remove it, or set remove_answer_files = true"
	if found.Pointer != "" {
		warn([]string{found.Pointer}, windows.UnattendFile.String()+` names it, and the first boot reads it before any other`+remove)
	}
	warn(found.Above, "the first boot reads it before the one that sysprep is given, and copies it over that"+remove)
	if found.Cached != "" && !given {
		warn([]string{found.Cached}, "it was left by an earlier run or the installation, and goes into the image"+remove)
	}
	warn(found.Below, "Windows takes from it the passes that no other answer file has, and it goes into the image"+remove)
	warn(found.Media, "if that drive is removable, Windows takes from it the passes that no other answer file has; take the medium out before the image boots")
	return warnings
}

// unanswered is what to do where the guest gave no answer before the start.
const unanswered = "find out why the guest stopped answering, and run the build again; the machine is untouched"

// uploadTries is how often the answer file is uploaded that does not arrive.
const uploadTries = 2

// upload puts the answer file where only administrators can read it.
func (r *run) upload(ctx context.Context) error {
	r.ui.Sayf("Uploading the answer file to %s", r.plan.AnswerFile)
	r.left.Folders = append(r.left.Folders, r.plan.AnswerFolder)
	if err := r.patiently(ctx, func() error { return r.session.MakePrivateFor(ctx, r.plan.AnswerFile) }); err != nil {
		next := "connect as an administrator with the elevated token"
		if guest.Unanswered(err) {
			next = unanswered
		}
		return untouched(fmt.Errorf("the answer file could not be put into the guest: %w", err), next)
	}
	defer r.heart.Begin(heartbeat.Facts{Doing: "uploading the answer file"}).End()
	// Packer's upload fails without a word where PowerShell is locked down, and where the
	// guest stood still meanwhile: then it arrives the next time.
	there := false
	for range uploadTries {
		err := r.patiently(ctx, func() error {
			return r.session.Upload(ctx, r.plan.AnswerFile, r.config.answer.content, uploadLimit)
		})
		if err != nil {
			return untouched(fmt.Errorf("the answer file could not be put into the guest: %w", err), unanswered)
		}
		err = r.patiently(ctx, func() (err error) {
			there, err = r.session.Exists(ctx, r.plan.AnswerFile)
			return err
		})
		if err != nil {
			return untouched(fmt.Errorf("the answer file could not be checked in the guest: %w", err), unanswered)
		}
		if there {
			return nil
		}
	}
	return untouched(fmt.Errorf("the answer file did not arrive in the guest in %d uploads: Packer's upload needs PowerShell there", uploadTries), "allow PowerShell for this build, or leave the answer file out")
}

// reportCached tells what stays in the image of passwords: settings, never
// values. Where the guest is down, its copy is what it was given.
func (r *run) reportCached(ctx context.Context, ask bool) {
	path, file := r.session.CachedAnswerFile(), r.config.answer.file
	if ask {
		content, err := r.cached, error(nil)
		if content == nil {
			content, err = r.session.Fetch(ctx, path, answerfile.MaxSize)
		}
		switch {
		case errors.Is(err, guest.ErrNotFound):
			return
		case err != nil && file == nil:
			r.ui.Sayf("Warning: what %s holds could not be read: %s", path, err)
			return
		case err != nil: // Windows has copied ours
		default:
			if file, err = answerfile.Parse(content); err != nil {
				r.ui.Sayf("Warning: %s stays in the image and cannot be read: %s", path, err)
				return
			}
		}
	}
	if file == nil {
		return
	}
	secrets := answerfile.SecretSettings(file)
	if len(secrets) == 0 {
		r.ui.Sayf("%s stays in the image; it holds no password and no product key", path)
		return
	}
	end := "until the passes have run on the deployed machine; delete_cached_answer_file = true deletes the file there"
	switch {
	case r.config.DeleteCachedAnswerFile && !r.deletesCached: // said already (tellNotDone)
		end = "until the passes have run on the deployed machine"
	case r.deletesCached:
		end = "until SetupComplete.cmd deletes it on the deployed machine"
	}
	r.ui.Sayf("Warning: %s stays in the image and holds secrets (%s) %s", path, strings.Join(secrets, ", "), end)
}
