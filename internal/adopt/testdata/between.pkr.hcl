variable "answers" { default = "answers.xml" }

source "qemu" "a" {
  shutdown_command = "shutdown /s /t 10 /f"
}

build {
  sources = ["qemu.a"]
  provisioner "file" {
    source      = "${var.answers}"
    destination = "C:/Windows/Temp/unattend.xml"
  }
  provisioner "powershell" {
    inline = [
      "Write-Output 'cleaning'",
      "Remove-Item -Recurse C:\\build",
      "Start-Process -Wait -FilePath C:\\Windows\\System32\\Sysprep\\sysprep.exe -ArgumentList '/generalize /oobe /quit /unattend:C:\\Windows\\Temp\\unattend.xml'",
      "while ((Get-ItemProperty HKLM:\\SYSTEM\\Setup\\Status\\SysprepStatus).GeneralizationState -ne 7) { Start-Sleep 5 }",
      "Write-Output 'done'",
      "Stop-Service RdAgent",
    ]
    max_retries = 2
  }
}
