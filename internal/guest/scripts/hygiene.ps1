# hygiene.ps1 - removes what an image should not carry, each thing only when it is named, and measures it before and after.
# Changes, by item: temp, update-cache, recycle-bin, powershell-history, transcripts, packer-leftovers (files, tasks),
# event-logs (clears them), shadow-copies (deletes them), component-store (DISM; takes minutes). What is in use stays
# and is counted. dryRun = true changes nothing and shows "before".
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

# Names of a folder; none where it cannot be read.
function Get-Entry([string]$Folder) {
    try { return @([IO.Directory]::GetFileSystemEntries($Folder)) } catch { return @() }
}

# 16 = directory, 1024 = reparse point. Never through a junction or a link: what it leads to is not ours.
function Test-Folder([string]$Path) {
    try { return ([int][IO.File]::GetAttributes($Path) -band 1040) -eq 16 } catch { return $false }
}

# A path and all that is below it, the inner ones first.
function Get-Tree([string]$Path) {
    if (Test-Folder $Path) { foreach ($entry in @(Get-Entry $Path)) { Get-Tree $entry } }
    return $Path
}

function Get-TempFolder {
    $windows = Get-FullPath '%windir%\Temp'
    $own = [IO.Path]::GetTempPath().TrimEnd([char[]]@('\', '/'))
    $windows
    if ($own -ne $windows) { $own }
}

function Get-FolderOfUser { return @(Get-Entry (Get-FullPath '%SystemDrive%\Users')) + @(Get-FullPath '%windir%\System32\config\systemprofile') }

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
        'update-cache' { Get-Entry (Get-FullPath '%windir%\SoftwareDistribution\Download') }
        'recycle-bin' { Get-Entry (Get-FullPath '%SystemDrive%\$Recycle.Bin') }
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
            if ($output -ne '') { foreach ($entry in @(Get-Tree (Get-FullPath $output))) { if ([IO.Path]::GetFileName($entry) -match '^PowerShell_transcript\..*\.txt$') { $entry } } }
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
                if ($folder) { [IO.Directory]::Delete($path) }
                else { [IO.File]::SetAttributes($path, 'Normal'); [IO.File]::Delete($path) }
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

function Invoke-Item([string]$Id) {
    switch ($Id) {
        'event-logs' { Clear-FilledLog; return }
        'shadow-copies' { Remove-Shadow; return }
        'component-store' { Invoke-ComponentCleanup; return }
        'update-cache' {
            foreach ($name in @('wuauserv', 'BITS')) {
                foreach ($service in @(Get-Service -Name $name -ErrorAction 'SilentlyContinue')) {
                    if ("$($service.Status)" -ne 'Running') { continue }
                    try { Stop-Service -Name $name -Force } catch { Add-Trouble "$($_.Exception.GetBaseException().Message)" }
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
        $watch = [Diagnostics.Stopwatch]::StartNew()
        $before = $null
        $after = $null
        try {
            $before = Measure-Item $id
            if (-not $dryRun) {
                Invoke-Item $id
                $after = Measure-Item $id
            }
        }
        catch { Add-Trouble "$($_.Exception.GetBaseException().Message)" }
        Write-Json ([ordered]@{
            'script' = 'hygiene'; 'schema' = 1; 'ok' = $true; 'item' = $id; 'dryRun' = $dryRun; 'before' = $before; 'after' = $after
            'left' = $state['left']; 'restart' = $state['restart']; 'problem' = $state['problem']; 'ms' = $watch.ElapsedMilliseconds
        })
    }
    exit 0
}
catch { Write-Json ([ordered]@{ 'script' = 'hygiene'; 'schema' = 1; 'ok' = $false; 'error' = Get-ErrorFact 'script' $_ }); exit 1 }
