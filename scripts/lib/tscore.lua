-- The table `tscore` of the native module. Seeding comes first, so torch is loaded too.
require 'torch'
return require('lanthorn').tscore
