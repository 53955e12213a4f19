# Windows Server in EC2, generalized by EC2Launch v2: it runs sysprep with its own answer
# file, so that each instance gets a new password. The provisioner starts it and watches
# sysprep.

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "~> 1.8"
    }
    sysprep = {
      source  = "github.com/packer-plugin-sysprep/sysprep"
      version = ">= 0.1.0"
    }
  }
}

variable "region" {
  type    = string
  default = "eu-central-1"
}

source "amazon-ebs" "windows" {
  region        = var.region
  instance_type = "t3.large"
  ami_name      = "windows-2022-${formatdate("YYYYMMDDhhmm", timestamp())}"

  source_ami_filter {
    owners      = ["amazon"]
    most_recent = true
    filters = {
      name                = "Windows_Server-2022-English-Full-Base-*"
      virtualization-type = "hvm"
    }
  }

  # The machine enables WinRM over HTTPS at its first boot.
  user_data_file = "${path.root}/winrm.txt"
  communicator   = "winrm"
  winrm_username = "Administrator"
  winrm_use_ssl  = true
  winrm_insecure = true

  # The guest powers itself off, and the builder waits for it.
  disable_stop_instance = true
}

build {
  sources = ["source.amazon-ebs.windows"]

  provisioner "sysprep" {
    agent         = "ec2launch"
    action        = "shutdown"
    log_directory = "logs"
  }
}
