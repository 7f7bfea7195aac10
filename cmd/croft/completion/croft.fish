# Completion of croft for fish: croft completion fish | source
function __croft_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    for line in (command $before[1] __complete fish $before[2..-1] "$current" 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path "$current"
            case ':command *'
                __fish_complete_subcommand --fcs-skip=(string replace ':command ' '' -- $line)
            case '*'
                echo $line
        end
    end
end
complete -c croft -f -a '(__croft_complete)'
