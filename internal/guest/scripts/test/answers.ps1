# answers.ps1 - golden answers of the scripts and parameters that came after the first goldens. run.ps1 runs it, in the
# fake machines; the twins of the simulated guest have to give the same (internal/winsim/answers_test.go).

Test-Group 'processes' {
    $root = New-Root
    Initialize-FakeWindows 'clean-server-2022' $root
    $global:Fake.data['cim']['Win32_Process'] = @()
    $result = Invoke-Script 'processes' $null
    Confirm-Equal "$($result.code) $($result.document.ok) $($result.document.processes.Count) $($result.document.marks.Count)" '0 True 0 0' 'none'
    Compare-Golden 'processes-none' $result.text $root
    $global:Fake.data['cim']['Win32_Process'] = @(
        @{ 'Name' = 'sysprep.exe'; 'ProcessId' = [uint32]4000; 'SessionId' = [uint32]0; 'CreationDate' = '2026-01-02T03:04:05Z'; 'CommandLine' = '"C:\Windows\System32\Sysprep\sysprep.exe" /generalize /oobe /quit' },
        @{ 'Name' = 'sysprep.exe'; 'ProcessId' = [uint32]4001; 'SessionId' = [uint32]1; 'CreationDate' = '2026-01-02T03:04:05Z'; 'CommandLine' = 'sysprep.exe /oobe' },
        @{ 'Name' = 'notepad.exe'; 'ProcessId' = [uint32]4002; 'SessionId' = [uint32]1; 'CreationDate' = $null; 'CommandLine' = $null }
    )
    foreach ($name in @('packer-run1.mark', 'packer-run1.txt', 'setupact.log')) { [void](Write-FakeFile "Windows/System32/Sysprep/Panther.packer-20260101T000000Z/$name" 'x' '') }
    [void](Write-FakeFile 'Windows/System32/Sysprep/Panther/packer-run2.mark' 'x' '')
    $result = Invoke-Script 'processes' $null
    Confirm-Equal (@($result.document.processes | ForEach-Object { "$($_.id) $($_.session) $($null -eq $_.start) $($null -eq $_.commandLine)" }) -join ',') '4000 0 False False,4001 1 False False' 'each sysprep'
    Confirm-Equal (@($result.document.marks | ForEach-Object { "$($_.folder) $($_.name)" }) -join ',') 'Panther.packer-20260101T000000Z packer-run1.mark' 'marks that were moved'
    Confirm-Equal $global:Fake.calls.Count 0 'changes nothing'
    Compare-Golden 'processes' $result.text $root
    foreach ($process in $global:Fake.data['cim']['Win32_Process']) { $process['CommandLine'] = $null }
    Compare-Golden 'processes-unreadable' (Invoke-Script 'processes' $null).text $root
    foreach ($process in $global:Fake.data['cim']['Win32_Process']) { $process['CreationDate'] = $null }
    $result = Invoke-Script 'processes' $null
    Confirm-Equal (@($result.document.processes | ForEach-Object { "$($_.id) $($null -eq $_.start) $($null -eq $_.commandLine)" }) -join ',') '4000 True True,4001 True True' 'what cannot be read is null'
    $root = New-Root
    Initialize-FakeWindows 'everything-throws' $root
    $result = Invoke-Script 'processes' $null
    Confirm-Equal "$($result.code) $($result.document.error.name)" '1 script' 'what cannot be asked is no empty list'
    Compare-Golden 'processes-everything-throws' $result.text $root
}

Test-Group 'launch, program' {
    $agent = 'C:\Program Files\Amazon\EC2Launch\EC2Launch.exe'
    $root = New-Root
    Initialize-FakeWindows 'clean-server-2022' $root
    $global:Fake.data['create']['lives'] = $false
    $result = Invoke-Script 'launch' @{ 'arguments' = 'sysprep --block'; 'program' = $agent }
    Confirm-Equal "$($result.document.started) $($result.document.alive)" 'True False' 'the program runs, and sysprep not yet'
    Confirm-Equal @($global:Fake.calls)[-1] "Create `"$agent`" sysprep --block" 'its command line'
    Compare-Golden 'launch-program' $result.text $root
    $root = New-Root
    Initialize-FakeWindows 'clean-server-2022' $root
    $global:Fake.data['create']['lives'] = $false
    $result = Invoke-Script 'launch' @{ 'arguments' = 'sysprep --block'; 'program' = $agent; 'mode' = 'task'; 'logon' = 'system'; 'taskName' = 'packer-agent' }
    Confirm-Equal "$($result.document.started) $($result.document.start.ran) $($null -eq $result.document.start.pid) $($result.document.alive)" 'True True True False' 'it is enough that the task runs'
    Confirm-True (@($global:Fake.calls) -contains "Register-ScheduledTask packer-agent S-1-5-18 ServiceAccount Highest $agent sysprep --block") "the task: $(@($global:Fake.calls) -join '|')"
    Compare-Golden 'launch-program-task' $result.text $root
    $root = New-Root
    Initialize-FakeWindows 'clean-server-2022' $root
    $global:Fake.data['create']['returnValue'] = 2
    $result = Invoke-Script 'launch' @{ 'arguments' = 'sysprep'; 'program' = $agent; 'mode' = 'task'; 'logon' = 'system'; 'taskName' = 'packer-agent' }
    Confirm-Equal "$($result.document.started) $($result.document.start.lastTaskResult)" 'False 2147942402' 'a program that is not there'
    foreach ($program in @('C:\a"b.exe', "C:\a`nb.exe")) {
        $result = Invoke-Script 'launch' @{ 'arguments' = 'x'; 'program' = $program }
        Confirm-Equal "$($result.code) $($result.document.error.name)" '2 bad-parameters' 'a path that cannot be one'
    }
}

Test-Group 'watch, agent' {
    $agent = '%windir%\Temp\packer-agent.exit'
    $stop = @(@{ 'agentEnded' = $true; 'process' = $false }, @{ 'imageState' = @('IMAGE_STATE_UNDEPLOYABLE') })
    $root = New-Root
    Initialize-FakeWindows 'watch-agent' $root
    $result = Invoke-Script 'watch' @{ 'deadlineSec' = 20; 'agent' = $agent; 'stopWhen' = $stop }
    Confirm-Equal "$($result.code) $($result.documents[-1].reason) $($result.documents[-1].condition)" '0 condition 0' 'ends when the program has'
    Confirm-Equal "$($result.documents[0].agentEnded) $($null -eq $result.documents[0].agentExit)" 'False True' 'it runs'
    Confirm-Equal "$($result.documents[-2].agentEnded) $($result.documents[-2].agentExit)" 'True 1' 'its exit code'
    Compare-Golden 'watch-agent' $result.text $root
    $root = New-Root
    Initialize-FakeWindows 'watch-agent' $root
    $result = Invoke-Script 'watch' @{ 'deadlineSec' = 0; 'agent' = $agent; 'stopWhen' = @(@{ 'agentEnded' = $false; 'forSec' = 1 }) }
    Confirm-Equal "$($result.documents[-1].reason) $($result.documents[-1].condition)" 'deadline -1' 'forSec is not over yet'
    $result = Invoke-Script 'watch' @{ 'deadlineSec' = 0; 'stopWhen' = @(@{ 'agentEnded' = $false }) }
    Confirm-Equal "$($result.documents[-1].condition) $(@($result.documents[0].PSObject.Properties | ForEach-Object { $_.Name }) -contains 'agentEnded')" '-1 False' 'without agent nothing is said of it'
}

Test-Group 'repair, answers' {
    $calc = 'Microsoft.WindowsCalculator_11.2501.0.0_x64__8wekyb3d8bbwe'
    $provisioned = 'Microsoft.WindowsCalculator_2024.1101.0.0_neutral_~_8wekyb3d8bbwe'
    $both = @{ 'id' = 'appx-remove'; 'packages' = @($calc); 'provisioned' = @($provisioned) }
    $bundle = 'Microsoft.WindowsCalculator_2025.1.0.0_neutral_~_8wekyb3d8bbwe'
    # golden, state, parameters, what is different in that machine
    $cases = @(
        @('appx-first', 'appx-per-user', ($both + @{ 'first' = @('Microsoft.WindowsCalculator_8wekyb3d8bbwe') }), { }),
        @('appx-stuck', 'appx-per-user', $both, { $global:Fake.data['throws'] = @('Remove-AppxPackage') }),
        @('appx-bundle', 'appx-per-user', $both, {
            foreach ($item in @($global:Fake.data['appx'])) { if ($item['fullName'] -eq $calc) { $item['bundle'] = $bundle } }
            $global:Fake.data['bundles'] = @(@{ 'name' = 'Microsoft.WindowsCalculator'; 'fullName' = $bundle; 'family' = 'Microsoft.WindowsCalculator_8wekyb3d8bbwe' })
        }),
        @('service-enable', 'leftovers', @{ 'id' = 'service-enable'; 'services' = @('AppXSvc', 'wuauserv', 'Spooler') }, { }),
        @('service-enable-protected', 'leftovers', @{ 'id' = 'service-enable'; 'services' = @('AppXSvc') }, { $global:Fake.data['scCode'] = 5 }),
        @('nps-clients-remove', 'nps', @{ 'id' = 'nps-clients-remove'; 'clients' = @('switch-1', 'gone') }, { }),
        @('domain-leave', 'clean-server-2022', @{ 'id' = 'domain-leave' }, {
            foreach ($computer in @($global:Fake.data['cim']['Win32_ComputerSystem'])) { $computer['PartOfDomain'] = $true; $computer['DomainRole'] = 3; $computer['Domain'] = 'example.test' }
        }),
        @('domain-leave-controller', 'domain-controller', @{ 'id' = 'domain-leave' }, { }),
        @('external-provider-named', 'clean-server-2022', @{ 'id' = 'external-provider-remove'; 'providers' = @(@{ 'phase' = 'Generalize'; 'name' = 'agent'; 'named' = $true }, @{ 'phase' = 'Cleanup'; 'name' = 'none' }) }, { }),
        @('external-provider-kept', 'clean-server-2022', @{ 'id' = 'external-provider-remove'; 'providers' = @(@{ 'phase' = 'Generalize'; 'name' = 'agent' }) }, { }),
        @('reserved-storage-scenario', 'clean-win11', @{ 'id' = 'reserved-storage-off'; 'scenario' = $true }, {
            $global:Fake.data['registry']['HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\ReserveManager']['ActiveScenario'] = 1
            $global:Fake.data['reservedStorage'] = 'Enabled'
        }),
        @('reserved-storage-none', 'server-core-2012', @{ 'id' = 'reserved-storage-off' }, { }),
        @('bitlocker-refused', 'bitlocker-on', @{ 'id' = 'bitlocker-off' }, { $global:Fake.data['cim']['Win32_EncryptableVolume'][0]['_decrypt'] = 2150694953 })
    )
    foreach ($case in $cases) {
        $root = New-Root
        Initialize-FakeWindows $case[1] $root
        & $case[3]
        $result = Invoke-Script 'repair' $case[2]
        Confirm-Equal $result.code 0 "$($case[0]) exit code: $($result.text)"
        Compare-Golden "repair-$($case[0])" $result.text $root
    }
}

Test-Group 'hygiene, answers' {
    $root = New-Root
    Initialize-FakeWindows 'clean-server-2022' $root
    $global:Fake.data['logs'] = [ordered]@{ 'Application' = 3; 'System' = 0 }
    $global:Fake.data['cim']['Win32_ShadowCopy'] = @(@{ 'ID' = 'a' }, @{ 'ID' = 'b' })
    $global:Fake.data['cim']['Win32_ShadowStorage'] = @(@{ 'UsedSpace' = 500 })
    foreach ($name in @('Windows/Temp/a/b.tmp', 'Windows/SoftwareDistribution/Download/x/u.cab', '$Recycle.Bin/S-1-5-21-1/$R1.txt', 'Users/packer/AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine/ConsoleHost_history.txt',
        'Users/packer/Documents/20260101/PowerShell_transcript.WIN.abc.txt', 'Windows/Temp/packer-ps-env-vars-1.ps1', 'Windows/System32/Tasks/packer-old', 'Windows/System32/Sysprep/Panther/packer-run1.mark')) { [void](Write-FakeFile $name '0123456789' '') }
    $items = @('temp', 'update-cache', 'recycle-bin', 'powershell-history', 'transcripts', 'packer-leftovers', 'event-logs', 'shadow-copies', 'component-store')
    $oldTemp = $env:TMPDIR
    try {
        $env:TMPDIR = [IO.Path]::Combine($global:Fake.drive, 'Users/packer/AppData/Local/Temp')
        $result = Invoke-Script 'hygiene' @{ 'items' = $items; 'dryRun' = $true }
        Confirm-Equal "$($result.code) $($global:Fake.calls.Count)" '0 0' 'dry: changes nothing'
        Compare-Golden 'hygiene-dry-run' $result.text $root
        $result = Invoke-Script 'hygiene' @{ 'items' = $items }
        Confirm-Equal $result.code 0 'exit code'
        Confirm-Equal (@($result.documents | Where-Object { $_.left -ne 0 -or $null -ne $_.problem } | ForEach-Object { "$($_.item): $($_.problem)" }) -join '|') '' 'nothing is left'
        Confirm-True (@($global:Fake.calls) -contains 'Unregister-ScheduledTask packer-old') 'the task, too'
        Compare-Golden 'hygiene' $result.text $root
        $global:Fake.data['dismCode'] = 3010
        $result = Invoke-Script 'hygiene' @{ 'items' = @('component-store') }
        Compare-Golden 'hygiene-restart' $result.text $root
        $env:TMPDIR = [IO.Path]::Combine($global:Fake.drive, 'Users/packer')
        [void](Write-FakeFile 'Users/packer/mine.txt' 'x' '')
        $result = Invoke-Script 'hygiene' @{ 'items' = @('temp', 'packer-leftovers') }
        Compare-Golden 'hygiene-refused' $result.text $root
    }
    finally { $env:TMPDIR = $oldTemp }
}

# A zip of entries, name and text each; a name with / at its end is a folder.
function New-Zip($Entries) {
    Add-Type -AssemblyName 'System.IO.Compression'
    $memory = New-Object -TypeName 'IO.MemoryStream'
    $zip = New-Object -TypeName 'IO.Compression.ZipArchive' -ArgumentList @($memory, [IO.Compression.ZipArchiveMode]::Create, $true)
    foreach ($entry in $Entries) {
        $sink = $zip.CreateEntry($entry[0]).Open()
        $bytes = [Text.Encoding]::UTF8.GetBytes($entry[1])
        $sink.Write($bytes, 0, $bytes.Length)
        $sink.Dispose()
    }
    $zip.Dispose()
    return , $memory.ToArray()
}

Test-Group 'expand, answers' {
    $root = New-Root
    Initialize-FakeWindows 'clean-server-2022' $root
    $temp = [IO.Path]::Combine($global:Fake.drive, 'Windows/Temp')
    [void][IO.Directory]::CreateDirectory($temp)
    [IO.File]::WriteAllBytes("$temp/good.zip", (New-Zip @(@('empty/', ''), @('a/b.txt', 'abc'))))
    [IO.File]::WriteAllBytes("$temp/outside.zip", (New-Zip @(, @('../x.txt', 'abc'))))
    [IO.File]::WriteAllText("$temp/none.zip", 'this is no zip, though it has as many bytes')
    foreach ($case in @(@('expand', 'good.zip', 0), @('expand-not-found', 'gone.zip', 0), @('expand-outside', 'outside.zip', 1), @('expand-no-zip', 'none.zip', 1))) {
        $result = Invoke-Script 'expand' @{ 'archive' = "%windir%\Temp\$($case[1])"; 'to' = '%windir%\Temp\new' }
        Confirm-Equal $result.code $case[2] "$($case[0]) exit code: $($result.text)"
        Compare-Golden $case[0] $result.text $root
    }
    Confirm-True (-not [IO.File]::Exists("$temp/x.txt")) 'nothing outside of the folder'
}

# What is no file in the guest: a process of its own each, with the input as it comes over WinRM.
function Invoke-Inline([string]$Name, [string[]]$Lines) {
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes((Get-Inline $Name)))
    $result = Invoke-Program @('-NoProfile', '-NonInteractive', '-EncodedCommand', $encoded) ($Lines -join "`r`n") $true 60000
    Confirm-True $result.ended "$Name ends"
    Confirm-Equal $result.stderr '' "$Name stderr is empty"
    return $result.stdout
}

Test-Group 'store, answers' {
    $work = New-Root
    $sha = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' # of abc
    $whole = @{ 'path' = "$work/new/x.bin"; 'size' = 3; 'sha256' = $sha }
    $empty = @{ 'path' = "$work/new/y.bin"; 'size' = 0; 'sha256' = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' }
    $text = ''
    foreach ($case in @(@($whole, 'YQ=='), @(($whole + @{ 'probe' = $true })), @(($whole + @{ 'offset' = 1 }), 'Yg==', 'Yw=='), @(($whole + @{ 'probe' = $true })), @(($whole + @{ 'offset' = 2 })),
        @($whole, 'YWJk'), @($whole, '%%%'), @($empty), @(@{ 'path' = "$work/new"; 'size' = 3; 'sha256' = $sha }, 'YWJj'))) {
        $text += Invoke-Inline 'store' (@(ConvertTo-Argument $case[0]) + @($case[1..9]) + @(''))
    }
    $text += Invoke-Inline 'store' @('', '')
    $text += Invoke-Inline 'store' @('%%%', '')
    Confirm-Equal @($text -split "`r?`n" | Where-Object { $_ -ne '' }).Count 11 'an answer each'
    Compare-Golden 'store' $text $work
}

Test-Group 'place, answers' {
    $work = New-Root
    $zip = New-Zip @(, @('files', 'abcd'))
    $sha = [BitConverter]::ToString([Security.Cryptography.SHA256]::Create().ComputeHash($zip)).Replace('-', '').ToLowerInvariant()
    $good = @{ 'zip' = "$work/kept/x.zip"; 'sha256' = $sha; 'files' = @(@{ 'path' = "$work/new/a.txt"; 'size' = 3 }, @{ 'path' = "$work/new/b.txt"; 'size' = 1 }) }
    $noZip = @{ 'zip' = "$work/kept/x.zip"; 'files' = @()
        'sha256' = [BitConverter]::ToString([Security.Cryptography.SHA256]::Create().ComputeHash([byte[]]@(0) * 30)).Replace('-', '') }
    $text = Invoke-Inline 'place' @((ConvertTo-Argument $good), [Convert]::ToBase64String($zip), '')
    Confirm-Equal ([IO.File]::ReadAllText("$work/new/a.txt") + '|' + [IO.File]::ReadAllText("$work/new/b.txt")) 'abc|d' 'the files'
    $text += Invoke-Inline 'place' @((ConvertTo-Argument $good), 'YWJj', '')
    $text += Invoke-Inline 'place' @((ConvertTo-Argument $good), '%%%', '')
    $text += Invoke-Inline 'place' @((ConvertTo-Argument $noZip), ('AAAA' * 10), '')
    $text += Invoke-Inline 'place' @('', '')
    Compare-Golden 'place' ($text -creplace '"sha256":"[0-9A-F]{64}"', '"sha256":"0000000000000000000000000000000000000000000000000000000000000000"') $work
}

Test-Group 'fetch, answers' {
    $work = New-Root
    [IO.File]::WriteAllText("$work/a.log", 'abcdef')
    [IO.File]::WriteAllText("$work/b.log", 'abcdef')
    $text = Invoke-Inline 'fetch' @((ConvertTo-Argument @{ 'files' = @("$work/a.log", "$work/none", "$work/none/none", "$work/b.log"); 'bytes' = 4; 'total' = 7 }), '')
    $text += Invoke-Inline 'fetch' @('', '')
    $text += Invoke-Inline 'fetch' @('%%%', '')
    Compare-Golden 'fetch' ($text -replace '"data":"[^"]*"', '"data":""' -replace '"size":\d+', '"size":0') $work
}

Test-Group 'password' {
    $root = New-Root
    Initialize-FakeWindows 'clean-server-2022' $root
    $global:Fake.data['cim']['Win32_UserAccount'] = @(@{ 'Name' = 'packer'; 'SID' = 'S-1-5-21-1-2-3-1001'; 'LocalAccount' = $true }, @{ 'Name' = 'Chef'; 'SID' = 'S-1-5-21-1-2-3-500'; 'LocalAccount' = $true })
    $env:COMPUTERNAME = 'WIN-PACKER'
    # ADSI is only on Windows: the account is a stub, the random numbers are real.
    function global:New-Object([string]$TypeName, $ArgumentList) {
        if ($TypeName -ne 'DirectoryServices.DirectoryEntry') { return Microsoft.PowerShell.Utility\New-Object @PSBoundParameters }
        $account = [pscustomobject]@{ 'Path' = "$ArgumentList" }
        Add-Member -InputObject $account -MemberType 'ScriptMethod' -Name 'Invoke' -Value { param($Name, $Values) Assert-FakeWorks 'SetPassword'; $global:Fake.lastSecret = "$Values"; Add-FakeCall "$Name $($this.Path)" }
        Add-Member -InputObject $account -MemberType 'ScriptMethod' -Name 'CommitChanges' -Value { Add-FakeCall "CommitChanges $($this.Path)" }
        return $account
    }
    try {
        $run = {
            $writer = Microsoft.PowerShell.Utility\New-Object -TypeName 'IO.StringWriter'
            $oldOut = [Console]::Out
            [Console]::SetOut($writer)
            try { $stray = @(& (Join-Path -Path $scriptFolder -ChildPath 'password.ps1')) } finally { [Console]::SetOut($oldOut) }
            Confirm-Equal $stray.Count 0 'writes nothing past [Console]::Out'
            return $writer.ToString()
        }
        $text = & $run
        Confirm-Equal $LASTEXITCODE 0 'exit code'
        Confirm-Equal (@($global:Fake.calls) -join '|') 'SetPassword WinNT://WIN-PACKER/Chef,user|CommitChanges WinNT://WIN-PACKER/Chef,user' 'the built-in Administrator, whatever its name'
        $first = $global:Fake.lastSecret
        Confirm-True ($first -cmatch '^aA1![A-Za-z0-9+/]{64}$') "the password: $($first.Length) characters"
        Confirm-True (-not $text.Contains($first)) 'and is not in the answer'
        [void](& $run)
        Confirm-True ($global:Fake.lastSecret -cne $first) 'another one each time'
        $global:Fake.data['throws'] = @('SetPassword')
        $text += & $run
        Confirm-Equal $LASTEXITCODE 1 'refused: exit code'
        $global:Fake.data['cim']['Win32_UserAccount'] = @()
        $text += & $run
        Confirm-Equal $LASTEXITCODE 1 'no such account: exit code'
        Compare-Golden 'password' $text $root
    }
    finally { Microsoft.PowerShell.Management\Remove-Item -LiteralPath 'function:New-Object' }
}

Test-Group 'preflight, only' {
    $root = New-Root
    Initialize-FakeWindows 'clean-win11' $root
    $result = Invoke-Script 'preflight' @{ 'only' = @('imageState', 'rebootPending') }
    Confirm-Equal (@($result.document.facts.PSObject.Properties | ForEach-Object { $_.Name }) -join ',') 'imageState,rebootPending' 'these and no others'
    Compare-Golden 'only-preflight' $result.text $root
    $global:Fake.data['throws'] = @('Get-WindowsReservedStorageState')
    $result = Invoke-Script 'preflight' @{ 'only' = @('reservedStorage') }
    $fact = $result.document.facts.reservedStorage
    Confirm-Equal "$($null -eq $fact.error) $($fact.value.cmdlet) $($null -eq $fact.value.state) $($fact.value.ShippedWithReserves) $($fact.value.stateError)" 'True True True 1 Get-WindowsReservedStorageState: Access is denied.' 'the cmdlet fails, and the registry still tells'
    Compare-Golden 'only-preflight-stateerror' $result.text $root
}
