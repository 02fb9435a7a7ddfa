-- The models of scripts/models, by file name: models.char_rnn { vocab = 65 }.
return require('base.room').members 'models'
