# hygiene.ps1 - removes what an image should not carry, each thing only when it is named, and measures it before and after.
# Changes, by item: temp, update-cache, recycle-bin, powershell-history, transcripts, packer-leftovers (files, tasks),
# event-logs (clears them), shadow-copies (deletes them), component-store (DISM; takes minutes). What is in use stays
# and is counted, as is a %TEMP% that is no temporary folder. dryRun = true changes nothing and shows "before".
param([string]$Json = '')

#region common (the same lines in every script; test/run.ps1 compares them)
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

# JSON in plain ASCII. ConvertTo-Json is not used: 5.1 and 7 differ on wrapped arrays, dates and enums.
function ConvertTo-AsciiJson($Value) {
    if ($null -eq $Value) { return 'null' }
    if ($Value -is [bool]) { if ($Value) { return 'true' } else { return 'false' } }
    if ($Value -isnot [string]) {
        if ($Value -is [Collections.IDictionary]) {
            $members = foreach ($entry in $Value.GetEnumerator()) {
                (ConvertTo-AsciiJson "$($entry.Key)") + ':' + (ConvertTo-AsciiJson $entry.Value)
            }
            return '{' + ($members -join ',') + '}'
        }
        if ($Value -is [Collections.IEnumerable]) {
            $items = foreach ($item in $Value) { ConvertTo-AsciiJson $item }
            return '[' + ($items -join ',') + ']'
        }
        if ($Value -is [DateTime]) { return '"' + $Value.ToUniversalTime().ToString('o') + '"' }
        if ($Value -is [ValueType] -and $Value.GetType().IsPrimitive -and $Value -isnot [char]) { return "$Value" }
    }
    $text = "$Value".Replace('\', '\\').Replace('"', '\"')
    if ($text -match '[^ -~]') { $text = [regex]::Replace($text, '[^ -~]', { param($match) '\u{0:x4}' -f [int][char]$match.Value }) }
    return '"' + $text + '"'
}

function Write-Json($Value) { [Console]::Out.WriteLine((ConvertTo-AsciiJson $Value)) }

function Get-ErrorFact([string]$Name, $Record) {
    $reason = $Record.Exception.GetBaseException()
    return [ordered]@{
        'name' = $Name; 'message' = "$($reason.Message)"; 'type' = $reason.GetType().FullName
        'id' = "$($Record.FullyQualifiedErrorId)"; 'line' = [int]$Record.InvocationInfo.ScriptLineNumber
    }
}

# One argument, base64 of UTF-8 JSON; nothing given means no parameters.
function Read-Parameter([string]$Encoded) {
    if ($Encoded -eq '') { return New-Object -TypeName 'PSObject' }
    $text = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($Encoded))
    return ConvertFrom-Json -InputObject $text
}

# %windir%\x becomes a full path; separators are those of the running system.
function Get-FullPath([string]$Path) {
    $expanded = [Environment]::ExpandEnvironmentVariables($Path)
    return $expanded.Replace('\', "$([IO.Path]::DirectorySeparatorChar)")
}
#endregion
$transcriptionKey = 'HKLM:\SOFTWARE\Policies\Microsoft\Windows\PowerShell\Transcription'
# What Packer and this plugin bring. It is none of temp's business: some of it runs.
$ours = '^(packer-|winrmcp-.*\.tmp$|script-.*\.(ps1|bat|cmd)$)'
$state = @{ 'left' = 0; 'problem' = $null; 'restart' = $false }
# Folders that an item leaves alone, and why.
$refused = [ordered]@{}

function Get-RegistryValue([string]$Key, [string]$Name) {
    if (-not (Test-Path -LiteralPath $Key)) { return $null }
    $all = Get-ItemProperty -LiteralPath $Key
    return $all.$Name
}

function Add-Trouble([string]$Message) {
    $state['left']++
    if ($null -eq $state['problem']) { $state['problem'] = $Message }
}

# Runs one program; its exit code is the answer, what it says counts only when it failed.
function Invoke-Native([scriptblock]$Call, [int[]]$Good) {
    $ErrorActionPreference = 'Continue'
    $global:LASTEXITCODE = 0
    $said = @(& $Call 2>&1)
    if ($Good -notcontains $LASTEXITCODE) {
        $last = ''
        foreach ($line in $said) { if ("$line".Trim() -ne '') { $last = "$line".Trim() } }
        throw "exit code $LASTEXITCODE`: $last"
    }
    return $LASTEXITCODE
}

# ---- files ------------------------------------------------------------------------------------------------------

# 16 = directory, 1024 = reparse point. Never through a junction or a link: what it leads to is not ours.
function Test-Folder([string]$Path) {
    try { return ([int][IO.File]::GetAttributes($Path) -band 1040) -eq 16 } catch { return $false }
}

# Names of a folder; none where it cannot be read.
function Get-Entry([string]$Folder) {
    if (-not (Test-Folder $Folder)) { return @() }
    try { return @([IO.Directory]::GetFileSystemEntries($Folder)) } catch { return @() }
}

# A path and all that is below it, the inner ones first.
function Get-Tree([string]$Path) {
    if (Test-Folder $Path) { foreach ($entry in @(Get-Entry $Path)) { Get-Tree $entry } }
    return $Path
}

# Why a folder is not one of this machine's own disks, or is reached through a junction; '' = neither.
function Get-Detour([string]$Folder) {
    if ($Folder -match '^[\\/]{2}') { return 'it is on the network' }
    $separator = [IO.Path]::DirectorySeparatorChar
    $top = (Get-FullPath '%SystemDrive%') + $separator
    if (-not "$Folder$separator".StartsWith($top, [StringComparison]::OrdinalIgnoreCase)) {
        $top = [IO.Path]::GetPathRoot($Folder)
        $type = "$((New-Object -TypeName 'IO.DriveInfo' -ArgumentList $top).DriveType)"
        if (@('Fixed', 'Ram') -notcontains $type) { return "its drive is no local disk ($type)" }
    }
    for ($at = $Folder; "$at".Length -gt $top.Length; $at = [IO.Path]::GetDirectoryName($at)) {
        $attributes = 0
        try { $attributes = [int][IO.File]::GetAttributes($at) } catch { $null = $_ }
        if (($attributes -band 1024) -ne 0) { return "$at is a junction or a link" }
    }
    return ''
}

# Why a folder is not to be emptied; '' = it may be. %TEMP% is a variable, and may lead anywhere.
function Get-Refusal([string]$Folder) {
    $separator = [IO.Path]::DirectorySeparatorChar
    $detour = Get-Detour $Folder
    if ($detour -ne '') { return $detour }
    if ($Folder -eq (Get-FullPath '%SystemDrive%') -or $Folder -eq [IO.Path]::GetPathRoot($Folder).TrimEnd($separator)) { return 'it is the root of a drive' }
    foreach ($name in @('%windir%', '%windir%\System32', '%SystemDrive%\Users', '%ProgramFiles%', '%ProgramData%')) {
        if ("$(Get-FullPath $name)$separator".StartsWith("$Folder$separator", [StringComparison]::OrdinalIgnoreCase)) { return "it holds $(Get-FullPath $name)" }
    }
    $above = [IO.Path]::GetDirectoryName($Folder)
    if ($Folder -eq (Get-FullPath '%USERPROFILE%') -or $above -eq (Get-FullPath '%SystemDrive%\Users')) { return 'it is a profile' }
    # A session of Remote Desktop has a folder with its number below the one of the user.
    $name = [IO.Path]::GetFileName($Folder)
    if ($name -match '^\d+$') { $name = [IO.Path]::GetFileName($above) }
    if ($name -notmatch '^(temp|tmp|systemtemp)$') { return 'its name is not that of a temporary folder (Temp, Tmp)' }
    return ''
}

function Get-TempFolder {
    $windows = Get-FullPath '%windir%\Temp'
    $own = [IO.Path]::GetFullPath([IO.Path]::GetTempPath()).TrimEnd([char[]]@('\', '/'))
    $folders = @($windows)
    if ($own -ne $windows) { $folders += $own }
    foreach ($folder in $folders) {
        $why = Get-Refusal $folder
        if ($why -eq '') { $folder; continue }
        $refused[$folder] = "$folder is left alone: $why; set TEMP and TMP of the build account to a folder for temporary files"
    }
}

# A folder that may lie elsewhere: it is emptied where Windows has it, and not where a junction leads.
function Get-OwnEntry([string]$Folder) {
    $why = Get-Detour $Folder
    if ($why -eq '') { return Get-Entry $Folder }
    $refused[$Folder] = "$Folder is left alone: $why"
}

# "All Users" and "Default User" are links to folders that are in the list themselves.
function Get-FolderOfUser {
    foreach ($folder in @(Get-Entry (Get-FullPath '%SystemDrive%\Users')) + @(Get-FullPath '%windir%\System32\config\systemprofile')) { if (Test-Folder $folder) { $folder } }
}

function Select-Name([string]$Folder, [string]$Pattern) {
    foreach ($entry in @(Get-Entry $Folder)) { if ([IO.Path]::GetFileName($entry) -match $Pattern) { $entry } }
}

# The files and folders an item is about: each goes with all that is in it.
function Get-Target([string]$Id) {
    switch ($Id) {
        'temp' {
            foreach ($folder in @(Get-TempFolder)) {
                foreach ($entry in @(Get-Entry $folder)) { if ([IO.Path]::GetFileName($entry) -notmatch $ours) { $entry } }
            }
        }
        'update-cache' { Get-OwnEntry (Get-FullPath '%windir%\SoftwareDistribution\Download') }
        'recycle-bin' { Get-OwnEntry (Get-FullPath '%SystemDrive%\$Recycle.Bin') }
        'powershell-history' {
            foreach ($user in @(Get-FolderOfUser)) { Select-Name ([IO.Path]::Combine($user, (Get-FullPath 'AppData\Roaming\Microsoft\Windows\PowerShell\PSReadLine'))) '_history\.txt$' }
        }
        'transcripts' {
            foreach ($user in @(Get-FolderOfUser)) {
                $documents = [IO.Path]::Combine($user, 'Documents')
                Select-Name $documents '^PowerShell_transcript\..*\.txt$'
                foreach ($day in @(Select-Name $documents '^\d{8}$')) { Select-Name $day '^PowerShell_transcript\..*\.txt$' }
            }
            $output = "$(Get-RegistryValue $transcriptionKey 'OutputDirectory')"
            if ($output -ne '') {
                foreach ($folder in @(Get-OwnEntry (Get-FullPath $output))) {
                    foreach ($entry in @(Get-Tree $folder)) { if ([IO.Path]::GetFileName($entry) -match '^PowerShell_transcript\..*\.txt$') { $entry } }
                }
            }
        }
        'packer-leftovers' {
            foreach ($folder in @(Get-TempFolder)) { Select-Foreign $folder $ours }
            Select-Foreign (Get-FullPath '%windir%\System32\Sysprep') '^(packer-|Panther\.packer-)'
            Select-Foreign (Get-FullPath '%windir%\System32\Sysprep\Panther') '^(packer-.*\.mark(\.part)?$|setupact\.packer-.*\.log$)'
        }
    }
}

# Those of this run stay: they are in use, and are removed at its end.
function Select-Foreign([string]$Folder, [string]$Pattern) {
    foreach ($entry in @(Select-Name $Folder $Pattern)) { if ($keep -eq '' -or -not $entry.Contains($keep)) { $entry } }
}

function Get-ForeignTask {
    foreach ($entry in @(Select-Foreign (Get-FullPath '%windir%\System32\Tasks') '^packer-')) { [IO.Path]::GetFileName($entry) }
}

function Measure-Target([string]$Id) {
    [long]$bytes = 0
    $count = 0
    foreach ($target in @(Get-Target $Id)) {
        foreach ($path in @(Get-Tree $target)) {
            if (Test-Folder $path) { continue }
            $count++
            try { $bytes += (New-Object -TypeName 'IO.FileInfo' -ArgumentList $path).Length } catch { $null = $_ }
        }
    }
    if ($Id -eq 'packer-leftovers') { $count += @(Get-ForeignTask).Count }
    return [ordered]@{ 'bytes' = $bytes; 'count' = $count }
}

# What is in use cannot be deleted, and neither can the folder it lies in: only the file counts.
function Remove-Target([string]$Id) {
    foreach ($target in @(Get-Target $Id)) {
        foreach ($path in @(Get-Tree $target)) {
            $folder = [IO.Directory]::Exists($path)
            try {
                [IO.File]::SetAttributes($path, 'Normal')
                if ($folder) { [IO.Directory]::Delete($path) }
                else { [IO.File]::Delete($path) }
            }
            catch { if (-not $folder) { Add-Trouble "$($_.Exception.GetBaseException().Message)" } }
        }
    }
    if ($Id -ne 'packer-leftovers') { return }
    foreach ($name in @(Get-ForeignTask)) {
        try { Unregister-ScheduledTask -TaskName $name -Confirm:$false } catch { Add-Trouble "$($_.Exception.GetBaseException().Message)" }
    }
}

# ---- event-logs ---------------------------------------------------------------------------------------------------

function Get-FilledLog { return @(Get-WinEvent -ListLog '*' -ErrorAction 'SilentlyContinue' | Where-Object { $_.RecordCount -gt 0 }) }

function Measure-EventLog {
    [long]$bytes = 0
    $logs = @(Get-FilledLog)
    foreach ($log in $logs) { $bytes += [long]$log.FileSize }
    return [ordered]@{ 'bytes' = $bytes; 'count' = $logs.Count }
}

function Clear-FilledLog {
    foreach ($log in @(Get-FilledLog)) {
        $name = "$($log.LogName)"
        try { [void](Invoke-Native { wevtutil.exe cl $name } @(0)) } catch { Add-Trouble "$name`: $($_.Exception.Message)" }
    }
}

# ---- shadow-copies ------------------------------------------------------------------------------------------------

function Measure-Shadow {
    [long]$bytes = 0
    foreach ($storage in @(Get-CimInstance -ClassName 'Win32_ShadowStorage' -OperationTimeoutSec 60)) { if ($null -ne $storage) { $bytes += [long]$storage.UsedSpace } }
    return [ordered]@{ 'bytes' = $bytes; 'count' = @(Get-CimInstance -ClassName 'Win32_ShadowCopy' -OperationTimeoutSec 60).Count }
}

function Remove-Shadow {
    foreach ($copy in @(Get-CimInstance -ClassName 'Win32_ShadowCopy' -OperationTimeoutSec 60)) {
        if ($null -eq $copy) { continue }
        try { Remove-CimInstance -InputObject $copy -OperationTimeoutSec 120 } catch { Add-Trouble "$($_.Exception.GetBaseException().Message)" }
    }
}

# ---- component-store: the files of WinSxS are linked, so free space is what is measured --------------------------------

function Measure-Free {
    $drive = Get-CimInstance -ClassName 'Win32_LogicalDisk' -Filter "DeviceID='$env:SystemDrive'" -OperationTimeoutSec 60
    return [ordered]@{ 'bytes' = [long]$drive.FreeSpace; 'count' = 0 }
}

# 3010 = done, and Windows wants a restart.
function Invoke-ComponentCleanup {
    try {
        if ($parameter.resetBase) { $code = Invoke-Native { dism.exe /Online /Cleanup-Image /StartComponentCleanup /ResetBase /NoRestart /Quiet } @(0, 3010) }
        else { $code = Invoke-Native { dism.exe /Online /Cleanup-Image /StartComponentCleanup /NoRestart /Quiet } @(0, 3010) }
        if ($code -eq 3010) { $state['restart'] = $true }
    }
    catch { Add-Trouble "$($_.Exception.Message)" }
}

# ---- main -----------------------------------------------------------------------------------------------------------

function Measure-Item([string]$Id) {
    switch ($Id) {
        'event-logs' { return Measure-EventLog }
        'shadow-copies' { return Measure-Shadow }
        'component-store' { return Measure-Free }
    }
    return Measure-Target $Id
}

function Invoke-Removal([string]$Id) {
    switch ($Id) {
        'event-logs' { Clear-FilledLog; return }
        'shadow-copies' { Remove-Shadow; return }
        'component-store' { Invoke-ComponentCleanup; return }
        'update-cache' {
            foreach ($name in @('wuauserv', 'BITS')) {
                foreach ($service in @(Get-Service -Name $name -ErrorAction 'SilentlyContinue')) {
                    if ("$($service.Status)" -ne 'Running') { continue }
                    # Stop-Service would wait without end for one that hangs in StopPending.
                    try { $service.Stop(); $service.WaitForStatus('Stopped', (New-TimeSpan -Seconds 50)) } catch { Add-Trouble "$($_.Exception.GetBaseException().Message)" }
                }
            }
        }
    }
    Remove-Target $Id
}

$known = @('temp', 'update-cache', 'recycle-bin', 'powershell-history', 'transcripts', 'packer-leftovers', 'event-logs', 'shadow-copies', 'component-store')
try {
    $parameter = Read-Parameter $Json
    $dryRun = [bool]$parameter.dryRun
    $keep = "$($parameter.keep)"
    $items = @(foreach ($item in @($parameter.items)) { if ("$item" -ne '') { "$item" } })
    if ($items.Count -eq 0) { throw 'items is missing' }
    foreach ($item in $items) { if ($known -notcontains $item) { throw "unknown item '$item'" } }
}
catch { Write-Json ([ordered]@{ 'script' = 'hygiene'; 'schema' = 1; 'ok' = $false; 'error' = Get-ErrorFact 'bad-parameters' $_ }); exit 2 }

try {
    foreach ($id in $items) {
        $state['left'] = 0
        $state['problem'] = $null
        $state['restart'] = $false
        $refused.Clear()
        $watch = [Diagnostics.Stopwatch]::StartNew()
        $before = $null
        $after = $null
        try {
            $before = Measure-Item $id
            if (-not $dryRun) {
                Invoke-Removal $id
                $after = Measure-Item $id
            }
        }
        catch { Add-Trouble "$($_.Exception.GetBaseException().Message)" }
        foreach ($why in @($refused.Values)) { Add-Trouble $why }
        Write-Json ([ordered]@{
            'script' = 'hygiene'; 'schema' = 1; 'ok' = $true; 'item' = $id; 'dryRun' = $dryRun; 'before' = $before; 'after' = $after
            'left' = $state['left']; 'restart' = $state['restart']; 'problem' = $state['problem']; 'ms' = $watch.ElapsedMilliseconds
        })
    }
    exit 0
}
catch { Write-Json ([ordered]@{ 'script' = 'hygiene'; 'schema' = 1; 'ok' = $false; 'error' = Get-ErrorFact 'script' $_ }); exit 1 }
