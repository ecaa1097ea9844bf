#!/bin/bash
# Plan and apply a Terraform configuration for an environment and ask before anything is destroyed
set -euo pipefail

environment=${1:-}
directory=${2:-infra}

case $environment in
  dev | staging | production) ;;
  *)
    echo "Usage: $0 dev|staging|production [DIRECTORY]" >&2
    exit 2
    ;;
esac

cd "$directory"
plan=$(mktemp)
trap 'rm -f "$plan"' EXIT

terraform init -input=false
terraform workspace select "$environment" || terraform workspace new "$environment"
terraform fmt -check -recursive
terraform validate

# Exit codes of plan: 0 no changes, 1 error, 2 changes.
code=0
terraform plan -input=false -detailed-exitcode -var-file="$environment.tfvars" -out="$plan" || code=$?

case $code in
  0)
    echo "The infrastructure is up to date"
    exit 0
    ;;
  2) ;;
  *) exit "$code" ;;
esac

destroyed=$(terraform show -json "$plan" |
  jq -r '.resource_changes[] | select(.change.actions | index("delete")) | .address')

if [[ -n $destroyed ]]; then
  echo "These resources will be destroyed:"
  printf '%s\n' "$destroyed"
  read -r -p "Type the name of the environment to go on: " answer
  if [[ $answer != "$environment" ]]; then
    echo "Cancelled" >&2
    exit 1
  fi
fi

terraform apply -input=false "$plan"
