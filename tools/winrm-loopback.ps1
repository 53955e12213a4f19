# Makes a hosted Windows runner reachable by WinRM from itself, for .github/workflows/real-windows.yml:
# a new administrator with a password of this run, Basic authentication, no encryption. It weakens the
# machine on purpose, so it runs nowhere but on a runner that is thrown away. Never run on Windows yet.
param([string]$User = 'packer')

$ErrorActionPreference = 'Stop'
if ($env:GITHUB_ACTIONS -ne 'true' -or $env:RUNNER_ENVIRONMENT -ne 'github-hosted') {
    throw 'This is no hosted runner of GitHub Actions. On a machine of your own, follow "The acceptance test" in docs/development.md.'
}

# Two GUIDs are enough to guess; the end is for Windows' rule on kinds of characters.
$password = [Guid]::NewGuid().ToString('N') + [Guid]::NewGuid().ToString('N').Substring(0, 8) + 'aA1-'
[Console]::Out.WriteLine("::add-mask::$password")
New-LocalUser -Name $User -Password (ConvertTo-SecureString -String $password -AsPlainText -Force) -PasswordNeverExpires | Out-Null
# By its SID: the name of the group depends on the language.
Add-LocalGroupMember -SID 'S-1-5-32-544' -Member $User

# WinRM refuses to be set up on a public network, which a runner's may be.
Get-NetConnectionProfile | Set-NetConnectionProfile -NetworkCategory Private
Enable-PSRemoting -SkipNetworkProfileCheck -Force | Out-Null
Set-Item -Path 'WSMan:\localhost\Service\Auth\Basic' -Value $true
Set-Item -Path 'WSMan:\localhost\Service\AllowUnencrypted' -Value $true
# Else a local administrator has no elevated token over the network.
New-ItemProperty -Path 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System' -Name 'LocalAccountTokenFilterPolicy' -Value 1 -PropertyType DWord -Force | Out-Null
Restart-Service -Name 'WinRM'

# [IO.File] writes no byte order mark, which would become part of the first name.
[IO.File]::AppendAllText($env:GITHUB_ENV, "SYSPREP_ACC_HOST=127.0.0.1`nSYSPREP_ACC_PORT=5985`nSYSPREP_ACC_USER=$User`nSYSPREP_ACC_PASSWORD=$password`n")
Get-ChildItem -Path 'WSMan:\localhost\Listener' | Format-List
[Console]::Out.WriteLine("WinRM listens; the account is $User")
