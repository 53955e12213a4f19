# password.ps1 - gives the built-in Administrator (RID 500) a random password that is made here and told to nobody.
# It is no file in the guest, takes no parameters, and says only whether it worked.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
try {
    $account = @(Get-CimInstance -ClassName 'Win32_UserAccount' -Filter 'LocalAccount=TRUE' -OperationTimeoutSec 60 | Where-Object { "$($_.SID)" -match '-500$' })
    if ($account.Count -ne 1) { throw 'the built-in Administrator was not found' }
    $bytes = New-Object -TypeName 'byte[]' -ArgumentList 48
    $random = New-Object -TypeName 'Security.Cryptography.RNGCryptoServiceProvider'
    $random.GetBytes($bytes)
    $user = New-Object -TypeName 'DirectoryServices.DirectoryEntry' -ArgumentList "WinNT://$env:COMPUTERNAME/$($account[0].Name),user"
    [void]$user.Invoke('SetPassword', [object[]]@('aA1!' + [Convert]::ToBase64String($bytes)))
    $user.CommitChanges()
    [Console]::Out.WriteLine('{"script":"password","schema":1,"ok":true}')
    exit 0
}
catch {
    [Console]::Out.WriteLine('{"script":"password","schema":1,"ok":false,"error":{"name":"failed","message":"' + ("$($_.Exception.GetBaseException().Message)" -replace '[^ -~]|["\\]', '?') + '"}}')
    exit 1
}
